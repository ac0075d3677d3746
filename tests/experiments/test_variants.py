from __future__ import annotations

from jepa_agent.cli.ablate import SYSTEMS
from jepa_agent.experiments.systems import with_values
from jepa_agent.experiments.world_variants import Setting
from jepa_agent.presets import BASE, DATA, QUICK
from jepa_agent.pretraining.image import SMALL
from jepa_agent.pretraining.video import VideoConfig


def test_every_ablation_is_a_config() -> None:
    presets = {
        "world": Setting(**vars(BASE), collect=DATA["base"]),
        "image": SMALL,
        "video": VideoConfig(),
        "backbones": Setting(**vars(QUICK), collect=DATA["quick"]),
    }
    unchanged = []
    for name, system in SYSTEMS.items():
        for variant, each in system.variants.items():
            if with_values(presets[name], each.changes) == presets[name]:
                unchanged.append(variant.split(", ")[-1])
            if name == "world":
                assert each.shares in ("", *system.variants)
    # `run_world` shortens the first stage of one variant; "100 %" has `quick`'s episodes
    assert unchanged == ["ours", "mostly refinement", "ours", "ours"] + ["100 %"] * 9
