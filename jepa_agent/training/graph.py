"""A step of training as one CUDA graph: one launch instead of a thousand."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..cuda_graphs import WARM_UP, on_another_stream, recorded
from .task import StepOutput, Task

Step = Callable[[tuple[Tensor, ...]], StepOutput]


class StepGraph:
    """Takes the steps of a stage, from the fourth on by replaying their kernels as one graph.

    What Python does in a step happens at its recording alone, which runs no kernel. So a step may
    depend on nothing but tensors that stay where they are (parameters, moments, the learning rate,
    prototypes, data on the device), on the task's generator, and on what is given, which is copied
    to where the recorded step found it. The host must not wait within a step.

    Where recording fails, a warning says why, and steps are launched kernel by kernel.

    Args:
        step: losses, gradients and the optimiser's step, of what the host gives.
        task: what is trained; its generator draws the step's random numbers.
    """

    def __init__(self, step: Step, task: Task) -> None:
        self._step, self._task, self._taken = step, task, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._failed = False

    def __call__(self, given: tuple[Tensor, ...]) -> StepOutput:
        """Take a step; its losses are the caller's own."""
        self._taken += 1
        if self._failed:
            return self._step(given)
        if self._taken <= WARM_UP:
            return self._warm_up(given)
        if self._graph is None:
            self._record(given)
        if self._graph is None:
            return self._step(given)
        for place, tensor in zip(self._given, given, strict=True):
            place.copy_(tensor)
        self._graph.replay()
        *terms, loss = self._numbers.clone().unbind()
        return self._output._replace(
            terms=dict(zip(self._output.terms, terms, strict=True)), loss=loss
        )

    def _warm_up(self, given: tuple[Tensor, ...]) -> StepOutput:
        """Take a step kernel by kernel."""
        with on_another_stream(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            return _without_gradients(self._step(given))[0]

    def _record(self, given: tuple[Tensor, ...]) -> None:
        generator = self._task.generator
        state = None if generator is None else generator.get_state()
        self._given = tuple(tensor.clone() for tensor in given)

        def step() -> None:
            self._output, self._numbers = _without_gradients(self._step(self._given))

        self._graph = recorded(step, "steps", generator)
        self._failed = self._graph is None
        if self._failed and generator is not None and state is not None:
            self._task.generator = torch.Generator(generator.device)  # the other may be unusable
            self._task.generator.set_state(state)


def _without_gradients(output: StepOutput) -> tuple[StepOutput, Tensor]:
    """The losses without what gradients need, and all of them as one tensor (n,)."""
    terms = {name: term.detach() for name, term in output.terms.items()}
    output = StepOutput(terms, output.loss.detach(), output.frames)
    return output, torch.stack([*output.terms.values(), output.loss])
