"""A pretended GPU: numbers on the CPU in tensors that say cuda:0, and CUDA's rules enforced.

Within `pretended_gpu()`, `torch.device("cuda")` can be used without a GPU: mixing devices,
`.numpy()` of a device tensor and generators of the wrong device raise as they do there, autocast
takes CUDA's lists of operators, foreach optimisers are taken as there, and launches, copies and
waits of the host are counted, by line. CUDA graphs are those of `tape.py`. It runs under
`with_hooks.py`.

What it cannot see: real kernels, Triton, NCCL, races, memory limits, speed; `torch.compile` is the
identity in it.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import safetensors.torch
import torch
from stand_ins import clear_caches, no_rule
from tape import INDEXING, WAITS, Graph, Recording, masks, with_tensors
from torch._library import simple_registry
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)
OWN = ("/jepa_agent/", "/planners/", "/envs/")
"""Folders whose innermost line on the stack is named for a copy or a wait."""
FREE = {
    "detach", "alias", "lift_fresh", "_unsafe_view", "empty", "empty_like", "new_empty",
    "_reshape_alias", "empty_strided", "new_empty_strided", "is_same_size",
}  # fmt: skip
"""Operators that launch nothing, besides views."""
ALL_ON_ONE = {"cat", "stack"}
"""Operators that take no CPU scalars beside device tensors."""


class Seen:
    """What a GPU would have been asked to do since `clear`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.launches: Counter[str] = Counter()
        """By operator."""
        self.waits: Counter[str] = Counter()
        """By what the host waits for, and the line that does."""

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """What happens here is one launch."""
        launches, waits = self.launches.copy(), self.waits.copy()
        yield
        inside = self.launches - launches
        if inside:  # a replay launches nothing one by one
            self.inside = inside
            """Launches that the last recorded graph holds, by operator."""
        self.launches, self.waits = launches + Counter(graph=1), waits


class Stream:
    """Stands for `torch.cuda.Stream`: all is done at once, in the order in which it is asked."""

    def wait_stream(self, stream: Stream) -> None:
        """Nothing is left to wait for."""


def blamed() -> str:
    """The innermost line of this project on the stack."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if any(part in name for part in OWN) and "site-packages" not in name:
            return f"{name.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "(elsewhere)"


class Pretended(torch.Tensor):
    """A tensor on cuda:0 whose numbers are those of a CPU tensor, `held`."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=GPU,
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self, **_: Any) -> str:
        return f"cuda:0 {self.held!r}"

    def __deepcopy__(self, memo: dict) -> Pretended:
        return self.detach().clone().requires_grad_(self.requires_grad)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        raise RuntimeError(f"{func} on a pretended device's tensor outside of pretended_gpu()")


def unwrapped(values: Any, ours: list[Pretended], guests: list[torch.Tensor]) -> Any:
    """Values with what is held by those on the device; its tensors and others are added to lists.

    It is most of what an operator costs here: one pass, without calls for what is no list.
    """
    made = []
    for each in values:
        if isinstance(each, Pretended):
            ours.append(each)
            made.append(each.held)
            continue
        if isinstance(each, torch.Tensor):
            guests.append(each)
        elif isinstance(each, list | tuple) and each and not isinstance(each[0], int):
            each = unwrapped(each, ours, guests)
        made.append(each)
    return made


class Device(TorchDispatchMode):
    """Runs every operator on the CPU and keeps the books of a GPU."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and the wrapper against it takes time at every operator."""
        return False

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        with torch._C.DisableTorchFunction():  # `Arguments` has seen what was asked
            return self._run(func, args, kwargs or {})

    def _run(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        name = func._schema.name.partition("::")[2]
        ours: list[Pretended] = []
        guests: list[torch.Tensor] = []
        plain = unwrapped(args, ours, guests)
        plain_kwargs = {key: unwrapped((each,), ours, guests)[0] for key, each in kwargs.items()}
        asked = kwargs.get("device")
        on_gpu = bool(ours) if asked is None else torch.device(asked).type == "cuda"
        if name == "_to_copy":
            self._copied(args[0], on_gpu, kwargs.get("non_blocking", False))
        elif name == "copy_":
            on_gpu = isinstance(args[0], Pretended)
            self._copied(args[1], on_gpu, len(args) > 2 and args[2])
        elif ours:
            if guests:
                self._check(name, guests, args)
            if not func.is_view and name not in FREE:
                self.seen.launches[name] += 1
            if name in WAITS or masks(name, args):
                self.seen.waits[f"{name} at {blamed()}"] += 1
        elif on_gpu and name not in FREE:
            self.seen.launches[name] += 1
        if on_gpu and asked is not None:
            plain_kwargs["device"] = torch.device("cpu")
        result = func(*plain, **plain_kwargs)
        if not on_gpu:
            return result
        wrappers = {id(each.held): each for each in ours}

        def wrapped(each: torch.Tensor) -> Pretended:
            return wrappers[id(each)] if id(each) in wrappers else Pretended(each)

        return with_tensors(result, wrapped)

    def _copied(self, source: torch.Tensor, to_gpu: bool, non_blocking: bool) -> None:
        from_gpu = isinstance(source, Pretended)
        if from_gpu and to_gpu:
            self.seen.launches["copy_"] += 1
        elif (from_gpu or to_gpu) and not non_blocking:  # torch waits for all that was launched
            self.seen.waits[f"copy {'from' if from_gpu else 'to'} the device at {blamed()}"] += 1

    def _check(self, name: str, guests: list[torch.Tensor], args: tuple) -> None:
        if name in INDEXING and isinstance(args[0], Pretended):
            for each in guests:  # indices may lie on the CPU; they are copied, and waited for
                self._copied(each, True, False)
            return
        wrong = [tuple(each.shape) for each in guests if each.ndim or name in ALL_ON_ONE]
        if wrong:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:0 and cpu! {name} got {wrong} on the CPU, at {blamed()}"
            )


class Arguments(TorchFunctionMode):
    """Says cuda:0 for cuda; generators must be on the device of what they fill."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        called = getattr(func, "__name__", "")
        if not kwargs and called not in ("numpy", "tolist", "to", "_to", "cuda"):
            return func(*args)
        kwargs = dict(kwargs or {})
        if called in ("numpy", "tolist") and isinstance(args[0], Pretended):
            if called == "tolist":
                return args[0].cpu().tolist()
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy, at {blamed()}")
        if called in ("to", "_to", "cuda"):
            args = (*args[:1], *map(_exact, args[1:]))
        if "device" in kwargs:
            kwargs["device"] = _exact(kwargs["device"])
        generator = kwargs.get("generator")
        if generator is not None:
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            device = kwargs.get("device") or (first.device if first is not None else "cpu")
            if torch.device(device).type != generator.device.type:
                raise RuntimeError(
                    f"Expected a '{torch.device(device).type}' device type for generator but found "
                    f"'{generator.device.type}', at {blamed()}"
                )
        return func(*args, **kwargs)


def _exact(value: Any) -> Any:
    plain = value == "cuda" or (isinstance(value, torch.device) and value.type == "cuda")
    return GPU if plain else value


class Generator(torch.Generator):
    """A CPU generator that says which device it is on."""

    place: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> Generator:
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made

    def __getattribute__(self, name: str) -> Any:
        if name == "device":
            return GPU if self.place.type == "cuda" else self.place
        return super().__getattribute__(name)


@contextlib.contextmanager
def pretended_gpu() -> Iterator[Seen]:
    """Pretend that there is one GPU, in this thread and in those of executors."""
    seen, lifts = Seen(), torch._C._only_lift_cpu_tensors()
    random, pointer, submit = (
        torch.get_rng_state, safetensors.torch.storage_ptr, ThreadPoolExecutor.submit,
    )  # fmt: skip
    patches: dict[str, Callable[..., Any]] = {
        "_lazy_init": lambda: None, "is_available": lambda: True, "device_count": lambda: 1,
        "current_device": lambda: 0, "is_bf16_supported": lambda *_, **__: True,
        "is_current_stream_capturing": lambda: Recording.active > 0,
        "manual_seed_all": lambda seed: None,
        "set_rng_state": lambda *_, **__: None, "get_rng_state": lambda *_, **__: random(),
        "_is_in_bad_fork": lambda: False, "manual_seed": lambda seed: None,
        "CUDAGraph": lambda: Graph("cuda", seen.uncounted), "graph": Recording,
        "max_memory_allocated": lambda *_: 1, "reset_peak_memory_stats": lambda *_: None,
        "get_device_name": lambda *_: "a pretended GPU",
        "Stream": lambda *_: Stream(), "current_stream": Stream,
        "stream": lambda _: contextlib.nullcontext(),
    }  # fmt: skip

    def submitted(executor: Any, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def here() -> Any:
            with Device(Seen()), Arguments():  # what it waits for is its own matter
                return work(*args, **kwargs)

        return submit(executor, here)

    def address(tensor: torch.Tensor) -> int:
        return pointer(getattr(tensor, "held", tensor))

    with contextlib.ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(mock.patch.object(torch.Tensor, "pin_memory", lambda tensor: tensor))
        stack.enter_context(mock.patch.object(torch, "compile", lambda it=None, **_: it))
        stack.enter_context(mock.patch.object(safetensors.torch, "storage_ptr", address))
        stack.enter_context(mock.patch.object(simple_registry, "find_torch_dispatch_rule", no_rule))
        stack.enter_context(mock.patch.object(ThreadPoolExecutor, "submit", submitted))
        for module in (optimizer, _foreach_utils):  # as for tensors that are on a GPU
            types = [torch.Tensor, torch.nn.parameter.Parameter, Pretended]
            stack.enter_context(mock.patch.object(module, "_foreach_supported_types", types))
        swaps = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)  # .data= would keep the class
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifts)
        stack.callback(clear_caches)
        clear_caches()
        stack.enter_context(Device(seen))
        stack.enter_context(Arguments())
        yield seen
