"""Data-parallel training: several processes compute together what one would on the whole batch.

Every process draws the same batch and keeps its share of the contexts. What is a mean over samples
is computed on the share, since the mean of equal shares' means is the mean; statistics that
need the whole batch (variance, covariance, SIGReg, telling contexts apart) first gather it.
Without `torch.distributed` all of this changes nothing.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Batch = TypeVar("Batch", bound=tuple)


def join(device: torch.device) -> torch.device:
    """Become one of several processes, if `torchrun` started this one: NCCL on GPUs, gloo on CPUs.

    Args:
        device: where to train.

    Returns:
        The same, or this process's own GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    atexit.register(dist.destroy_process_group)
    return device


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return not dist.is_initialized() or dist.get_rank() == 0


def own_share(batch: Batch) -> Batch:
    """This process's part of the first dimension of every tensor of a batch (a named tuple).

    Raises:
        ValueError: if the first dimension cannot be shared evenly.
    """
    count, total = processes(), len(batch[0])
    if total % count:
        raise ValueError(
            f"the groups of a batch must be a multiple of the processes, got {total} groups for "
            f"{count} processes; change training.groups, refinement.groups or --nproc-per-node"
        )
    if count == 1:
        return batch
    first = dist.get_rank() * (total // count)
    return type(batch)(*(part[first : first + total // count] for part in batch))


def gathered(tensor: Tensor) -> Tensor:
    """The whole batch, of which each process has a share (n, ...), with gradients to all shares.

    Every process goes on to compute the same loss of the whole, so a share's gradient arrives as
    often as there are processes, and `average_gradients` divides by their number.
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


def from_first(value: Any) -> Any:
    """What the first process passes, in all of them."""
    if processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
