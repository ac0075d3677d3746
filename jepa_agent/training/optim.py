"""Shared by all trainings: the schedule, LARS, an optimiser's state as plain tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def cosine(step: int, steps: int, warmup: float, floor: float = 0.0) -> float:
    """The learning rate's share of its peak: a linear rise over `warmup` steps under a cosine
    that ends at `floor`."""
    rise = min(1.0, (step + 1) / max(1.0, warmup))
    return rise * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * step / steps)))


def adamw(parameters: Iterable[Any], weight_decay: float) -> torch.optim.AdamW:
    """AdamW; on a CUDA GPU one kernel, which reads the learning rate there as graphs need it.

    Args:
        parameters: parameters on one device, or groups of them.
        weight_decay: of groups that name none.
    """
    parameters = list(parameters)
    first = parameters[0]
    device = (first["params"][0] if isinstance(first, dict) else first).device
    if device.type != "cuda":
        return torch.optim.AdamW(parameters, weight_decay=weight_decay)
    optimizer = torch.optim.AdamW(
        parameters, weight_decay=weight_decay, fused=True, capturable=True
    )
    for group in optimizer.param_groups:
        group["lr"] = torch.zeros((), device=device)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters; one that is a tensor stays where it is."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def check_finite(
    means: dict[str, float], parameters: Iterable[Tensor], step: int, seed: int
) -> None:
    """Check that losses and parameters are finite, before a run's state is kept.

    Args:
        means: means of the loss terms by name, since the last check.
        parameters: the model's parameters.
        step: the current step.
        seed: the training's seed; step and seed identify the batch.

    Raises:
        FloatingPointError: naming the first loss term that is not finite, or the parameters.
    """
    where = f"by step {step} of seed {seed}"
    kept = "the run's last good state is kept"
    for name, value in means.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"every loss term must stay finite, got {name} = {value} {where}; lower the "
                f"learning rate or its weight; {kept}"
            )
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise FloatingPointError(
            f"every parameter must stay finite, they did not {where}; lower the learning rate or "
            f"the largest loss weight; {kept}"
        )


def pack(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's moments by name."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(moment)
        for index, moments in state.items()
        for name, moment in moments.items()
    }


def unpack(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give a fresh optimiser the moments that `pack` found in one like it."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in strip_prefix(tensors, "optimizer.").items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def strip_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by names without the prefix."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose steps are in proportion to each layer's weights (You et al.,
    1708.03888), for large batches.

    Parameters of one dimension (biases, norms) take plain steps without weight decay.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        momentum: share of the last step that is kept.
        weight_decay: added to the gradient.
        trust: step's norm over the weights' norm, at learning rate 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                change = parameter.grad
                if parameter.ndim > 1:
                    change = change + group["weight_decay"] * parameter
                    size, slope = parameter.norm(), change.norm()
                    scale = group["trust"] * size / slope.clamp_min(1e-12)
                    change = change * torch.where(size > 0, scale, torch.ones_like(scale))
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].mul_(group["momentum"]).add_(change)
                parameter.sub_(group["lr"] * state["momentum"])
