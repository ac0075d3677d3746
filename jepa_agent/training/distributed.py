"""Data-parallel training: several processes compute together what one would on the whole batch.

Every process draws the same batch and keeps an equal share of it. Means over samples are computed
on the share and averaged; statistics of the whole batch (variance, covariance, SIGReg, batch
norms, contrast) gather it first. Without `torch.distributed` these functions change nothing.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def join(device: torch.device) -> torch.device:
    """Become one of several processes, if `torchrun` started this one: NCCL on GPUs, gloo on CPUs.

    Args:
        device: where to train.

    Returns:
        The same, or this process's own GPU.

    Raises:
        ValueError: if there are fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if rank >= gpus:
            raise ValueError(
                f"every process needs a GPU of its own, got process {rank + 1} of {gpus} GPUs; "
                "lower --nproc-per-node, or use --device cpu"
            )
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    atexit.register(dist.destroy_process_group)
    return device


def processes() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process is the one that writes files and log lines."""
    return not dist.is_initialized() or dist.get_rank() == 0


def shard(tensor: Tensor) -> Tensor:
    """This process's part of the first dimension of a batch's tensor.

    Raises:
        ValueError: if the first dimension cannot be shared evenly.
    """
    count, total = processes(), len(tensor)
    if total % count:
        raise ValueError(
            "a batch must be a multiple of the processes, got "
            f"{total} for {count} processes; change its size (training.layouts_per_batch, "
            "refinement.layouts_per_batch or batch) or --nproc-per-node"
        )
    return tensor if count == 1 else tensor.chunk(count)[dist.get_rank()]


def all_gather(tensor: Tensor) -> Tensor:
    """The whole batch, of which each process has a share (n, ...), with gradients to all shares.

    Every process then computes the same loss of the whole batch, so a share's gradient arrives
    once per process, and `average_gradients` divides by their number.
    """
    if processes() == 1:
        return tensor
    return torch.cat(list(_AllGather.apply(tensor.contiguous())))


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> tuple[Tensor, ...]:
        shares = [torch.empty_like(tensor) for _ in range(processes())]
        dist.all_gather(shares, tensor)
        return tuple(shares)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = torch.stack(gradients)
        dist.all_reduce(whole)
        return whole[dist.get_rank()]


class WholeBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation by the statistics of the whole batch, on CPUs as on GPUs."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        """Normalise as `nn.BatchNorm1d` and `nn.BatchNorm2d` do."""
        if not self.training or processes() == 1:
            return super().forward(input)
        others = [each for each in range(input.ndim) if each != 1]
        count = processes() * input.numel() // input.shape[1]
        shape = [-1 if each == 1 else 1 for each in range(input.ndim)]
        # autocast's bfloat16 is normalised in float32, as by torch's own batch norm
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = all_gather(wide.mean(dim=others)[None]).mean(dim=0)
        centred = wide - mean.view(shape)
        variance = all_gather(centred.square().mean(dim=others)[None]).mean(dim=0)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def share_norms(model: nn.Module) -> None:
    """Let every batch norm of a model see the whole batch, if there are several processes."""
    if processes() == 1:
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                norm = WholeBatchNorm(child.num_features, child.eps, child.momentum)
                norm.load_state_dict(child.state_dict())
                setattr(module, name, norm.to(child.weight.device))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make every gradient the mean over the processes."""
    if processes() == 1:
        return
    gradients = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    parts = (flat / processes()).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def averaged(means: dict[str, float]) -> dict[str, float]:
    """Numbers by name, their means over the processes."""
    if processes() == 1:
        return means
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(list(means.values()), dtype=torch.float64, device=device)
    dist.all_reduce(values)
    return dict(zip(means, (values / processes()).tolist(), strict=True))


def broadcast_object(value: Any) -> Any:
    """The first process's value, in all processes."""
    if processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
