"""Operations and bytes against those worked out by hand."""

from __future__ import annotations

import torch

from jepa_agent.experiments.counting import Counted, kept_for_gradients


def test_a_layer_costs_what_it_must() -> None:
    weight, inputs = torch.ones(8, 16, requires_grad=True), torch.ones(4, 8)
    with kept_for_gradients() as kept, Counted() as counted:
        outputs = (inputs @ weight).relu()
    assert counted.operations == {torch.float32: 2 * 4 * 8 * 16}
    product, relu = 4 * 8 + 8 * 16 + 4 * 16, 4 * 16 + 4 * 16
    assert counted.moved == 4 * (product + relu)
    assert kept() == 4 * (4 * 8 + 4 * 16), "the inputs, and what the ReLU let through"
    with Counted() as backward:
        outputs.sum().backward()
    assert backward.operations.total() == 2 * 4 * 8 * 16, "the inputs need no gradient"


def test_operations_are_told_apart_by_their_numbers() -> None:
    inputs = torch.ones(4, 8)
    with Counted() as counted:
        _ = inputs @ inputs.T
        with torch.autocast("cpu", torch.bfloat16):
            _ = inputs @ inputs.T
    assert counted.operations == {torch.float32: 256, torch.bfloat16: 256}
