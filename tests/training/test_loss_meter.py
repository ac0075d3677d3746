"""Means between two lines of the log."""

from __future__ import annotations

import pytest
import torch

from jepa_agent.training.loss_meter import LossMeter


def test_the_terms_of_a_state_that_was_loaded_are_saved_again() -> None:
    """They lie on the CPU, and new ones on the device; here torch's, which has no numbers."""
    device = torch.device("meta")
    meter, resumed = LossMeter(), LossMeter()
    meter.add({"prediction": torch.tensor(1.0)}, 4)
    resumed.load_state(meter.state(), 0.0)
    resumed.add({"prediction": torch.ones((), device=device)}, 4)
    again = resumed.state()["meter.prediction"]
    assert again.shape == (2,)
    assert again.device == device


def test_means_are_of_all_steps_also_after_a_state() -> None:
    meter, resumed = LossMeter(), LossMeter()
    meter.add({"prediction": torch.tensor(1.0)}, 4)
    resumed.load_state(meter.state(), 2.0)
    resumed.add({"prediction": torch.tensor(4.0)}, 4)
    assert resumed.means()["prediction"] == pytest.approx(2.5)
    assert resumed.seconds > 2.0
