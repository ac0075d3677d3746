"""Predictors that remember: stacked frames, and recurrent ones.

All have one interface. What is remembered is a row of numbers (M,), so that a planner can imagine
many futures from it:

    memory = predictor.update(memory, frame, action)
    place = predictor.predict(memory, frame)            # one step later
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_agent.models.layers import mlp

from .worlds import ACTION, FRAME

LONGEST = 64
"""Steps for which units may begin to remember."""


class Predictor(nn.Module, ABC):
    """Foresees the next place from a memory of frames and actions.

    Args:
        memory: numbers M that it remembers.
    """

    rate = 3e-3
    """The learning rate at the start."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory = memory

    @abstractmethod
    def update(self, memory: Tensor, frame: Tensor, action: Tensor) -> Tensor:
        """The memory (B, M) after a frame (B, F) and the action (B, A) that followed."""

    @abstractmethod
    def change(self, memory: Tensor) -> Tensor:
        """How the place changes (B, 2) in the step that was remembered last."""

    def predict(self, memory: Tensor, frame: Tensor) -> Tensor:
        """The place (B, 2) a step later; from nowhere, where the frame (B, F) shows none."""
        return frame[..., :2] + self.change(memory)

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """The memory (B, M) of frames (B, T, F), from an episode's first one, and actions."""
        memory = frames.new_zeros(len(frames), self.memory)
        for frame, action in zip(frames.unbind(1), actions.unbind(1), strict=True):
            memory = self.update(memory, frame, action)
        return memory

    def imagine(self, memory: Tensor, frame: Tensor, actions: Tensor) -> Tensor:
        """Places (B, H, 2) under actions (B, H, A); those imagined count as shown.

        Args:
            memory: (B, M), of all frames before the present one.
            frame: (B, F), the present one.
            actions: (B, H, A).
        """
        imagined = []
        for action in actions.unbind(1):
            memory = self.update(memory, frame, action)
            imagined.append(self.predict(memory, frame))
            frame = F.pad(imagined[-1], (0, 1), value=1.0)  # shown
            frame = F.pad(frame, (0, FRAME - 3))
        return torch.stack(imagined, 1)


class Stacked(Predictor):
    """An MLP of two hidden layers on the last frames and actions.

    Args:
        width: hidden units per layer.
        frames: how many are stacked.
    """

    def __init__(self, width: int, frames: int) -> None:
        super().__init__(frames * (FRAME + ACTION))
        self.net = mlp(self.memory, width, 2, 2, nn.ReLU())

    def update(self, memory: Tensor, frame: Tensor, action: Tensor) -> Tensor:
        return torch.cat([memory, frame, action], dim=-1)[:, FRAME + ACTION :]

    def change(self, memory: Tensor) -> Tensor:
        return self.net(memory)


class Recurrent(Predictor):
    """A recurrent network, and an MLP that reads its last layer.

    Args:
        width: units of each layer.
        depth: layers.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__(depth * width)
        self.width = width
        self.read_out = mlp(width, width, 1, 2, nn.ReLU())

    def change(self, memory: Tensor) -> Tensor:
        return self.read_out(memory[:, -self.width :])


class Gated(Recurrent):
    """GRUs, each on top of the other; see `Recurrent`.

    Units begin to forget after 1 to 64 steps (1804.11188), as many after 2 as after 32.
    """

    rate = 1e-2

    def __init__(self, width: int, depth: int) -> None:
        super().__init__(width, depth)
        self.gru = nn.GRU(FRAME + ACTION, width, depth, batch_first=True)
        with torch.no_grad():
            for layer in range(depth):
                kept = getattr(self.gru, f"bias_hh_l{layer}")[width : 2 * width]
                kept.uniform_(0.0, math.log(LONGEST))

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        memory = frames.new_zeros(len(frames), self.memory)
        return self._run(memory, frames, actions) if frames.shape[1] else memory

    def update(self, memory: Tensor, frame: Tensor, action: Tensor) -> Tensor:
        return self._run(memory, frame[:, None], action[:, None])

    def _run(self, memory: Tensor, frames: Tensor, actions: Tensor) -> Tensor:
        """The memory (B, M) after frames (B, T, F) and actions (B, T, A)."""
        layers = memory.unflatten(1, (-1, self.width)).transpose(0, 1)
        last = self.gru(torch.cat([frames, actions], dim=-1), layers.contiguous())[1]
        return last.transpose(0, 1).flatten(1)


class Product(Recurrent):
    """h' = tanh(U h + V x + b + C (A h * B x)), a 2RNN of low rank (2406.05045).

    U begins as the identity, so that it remembers. See `Recurrent`.

    Args:
        width: size of h.
        rank: size of the product; 0 for a plain RNN.
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__(width, depth=1)
        self.kept = nn.Linear(width, width)
        nn.init.eye_(self.kept.weight)
        nn.init.zeros_(self.kept.bias)
        self.given = nn.Linear(FRAME + ACTION, width, bias=False)
        self.rank = rank
        if rank:
            self.left = nn.Linear(width, rank, bias=False)
            self.right = nn.Linear(FRAME + ACTION, rank, bias=False)
            self.back = nn.Linear(rank, width, bias=False)

    def update(self, memory: Tensor, frame: Tensor, action: Tensor) -> Tensor:
        given = torch.cat([frame, action], dim=-1)
        new = self.kept(memory) + self.given(given)
        if self.rank:
            new = new + self.back(self.left(memory) * self.right(given))
        return new.tanh()


KINDS: dict[str, Callable[[int], Predictor]] = {
    "MLP, 1 frame": lambda width: Stacked(width, 1),
    "MLP, 4 frames": lambda width: Stacked(width, 4),
    "MLP, 16 frames": lambda width: Stacked(width, 16),
    "GRU, depth 1": lambda width: Gated(width, 1),
    "GRU, depth 2": lambda width: Gated(width, 2),
    "GRU, depth 3": lambda width: Gated(width, 3),
    "GRU, depth 4": lambda width: Gated(width, 4),
    "RNN": lambda width: Product(width, 0),
    "2RNN": lambda width: Product(width, width // 2),
}
"""By name, what makes a predictor of a width."""


def parameters(predictor: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(math.prod(each.shape) for each in predictor.parameters())


def multiplications(predictor: nn.Module) -> int:
    """How many numbers are multiplied by weights in a step: every matrix is used once."""
    return sum(math.prod(each.shape) for each in predictor.parameters() if each.ndim == 2)


def of_size(kind: str, wanted: int) -> Predictor:
    """The predictor of a kind with the number of parameters that is nearest to the wanted one."""
    low, high = 4, 1024
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(kind, middle) <= wanted else (low, middle)
    return KINDS[kind](min(low, high, key=lambda width: abs(count(kind, width) - wanted)))


def count(kind: str, width: int) -> int:
    """Parameters of a kind at a width, none of which is made."""
    with torch.device("meta"):
        return parameters(KINDS[kind](width))
