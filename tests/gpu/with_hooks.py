"""Runs a script in a process whose torch believes in a GPU: `python with_hooks.py SCRIPT`.

What lets autograd run on a device that is not there is compiled (3 s) and loaded before torch is
imported, which asks for its hooks once.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

HOOKS = r"""
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
using namespace c10;
namespace at {
struct CUDAHooks : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
};
REGISTER_CUDA_HOOKS(CUDAHooks);
}
struct Guard : impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  static Device gpu() { return Device(DeviceType::CUDA, 0); }
  Device exchangeDevice(Device) const override { return gpu(); }
  Device getDevice() const override { return gpu(); }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, gpu()); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, gpu()); }
} guard;
extern "C" void set_guard() {
  impl::device_guard_impl_registry[static_cast<size_t>(DeviceType::CUDA)].store(&guard);
}
"""


def load() -> None:
    """Compile the hooks, and load them into this process."""
    if "torch" in sys.modules:
        raise ImportError("the hooks of a GPU must be loaded before torch, got it imported")
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ImportError("the hooks need torch, which is not installed; install it")
    home = Path(spec.origin).parent
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "hooks.cpp", Path(folder) / "hooks.so"
        source.write_text(HOOKS)
        subprocess.run(
            ["g++", "-O0", "-std=c++20", "-shared", "-fPIC", f"-I{home / 'include'}", source,
             "-o", library, f"-L{home / 'lib'}", f"-Wl,-rpath,{home / 'lib'}",
             "-lc10", "-ltorch_cpu"],
            check=True,
        )  # fmt: skip
        ctypes.CDLL(str(library)).set_guard()


if __name__ == "__main__":
    load()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.stdout.flush()
    sys.stderr.flush()
    # Autograd's thread of the device may ask for Python while the interpreter ends, which aborts.
    os._exit(0)
