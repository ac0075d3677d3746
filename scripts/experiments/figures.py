"""Draw the pictures of docs/how-it-works.md from a checkpoint (extra `plots`).

python scripts/experiments/figures.py --checkpoint default --out docs/media
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure

from jepa_agent import JEPAAgent
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.envs import physics
from jepa_agent.envs.physics import HIGH, LOW, Layout
from jepa_agent.viz.imagination import Landscape

STEP_LENGTH = 2.45


@dataclass(frozen=True)
class Args:
    """What to draw and where to."""

    checkpoint: str = "default"
    wall_x: int = 27
    door_y: int = 34
    goal: tuple[float, float] = (50.0, 14.0)
    out: Path = Path("docs/media")


def main(args: Args) -> None:
    agent = JEPAAgent.load(args.checkpoint)
    layout = np.array([args.wall_x, args.door_y, physics.DOOR_HALFWIDTH], dtype=np.float32)
    args.out.mkdir(parents=True, exist_ok=True)
    energy(agent, layout, np.array(args.goal, dtype=np.float32), args.out / "energy.png")
    imagination(agent, layout, args.out / "imagination.png")
    print(f"wrote energy.png and imagination.png into {args.out}")


def energy(agent: JEPAAgent, layout: np.ndarray, goal: np.ndarray, path: Path) -> None:
    """The true path length to a goal, the learned distance and the latent distance."""
    line = np.arange(LOW + 1, HIGH, 0.5, dtype=np.float32)
    states = np.stack(np.meshgrid(line, line), axis=-1)
    walls = Layout.from_array(layout)
    free = physics.is_free(states, walls)
    landscape = Landscape(agent, states, layout)
    fields = {
        "shortest path, pixels": physics.shortest_path(states, goal, walls),
        "learned distance, chunks": landscape.distances(goal),
        "difference of latents": landscape.distances(goal, "latent"),
    }
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (title, field) in zip(figure.subplots(1, 3), fields.items(), strict=True):
        shown = np.where(free, field, np.nan)
        picture = axes.pcolormesh(line, line, shown, cmap="cividis", shading="nearest")
        axes.contour(line, line, shown, levels=12, colors="white", linewidths=0.5)
        axes.plot(*goal, marker="*", color="#d55e00", markersize=12)
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])
        axes.invert_yaxis()
        figure.colorbar(picture, shrink=0.8)
    figure.savefig(path, dpi=110)


@torch.no_grad()
def imagination(agent: JEPAAgent, layout: np.ndarray, path: Path, steps: int = 30) -> None:
    """Pushes against the wall beside the door and through it: imagined and true."""
    wall, door = layout[0], layout[1]
    starts = np.array(
        [[wall - 14, door + offset] for offset in (-16, -8, 0, 8, 16)], dtype=np.float32
    )
    chunks = steps // agent.model.config.chunk
    action = np.array([1.0, 0.0], dtype=np.float32)
    true = [starts]
    for _ in range(steps):
        true.append(
            physics.step(true[-1], STEP_LENGTH * np.tile(action, (len(starts), 1)),
                         Layout.from_array(layout), np.zeros_like(starts))
        )  # fmt: skip
    render = agent.env_ref.make().unwrapped.render_states
    latents = agent.model.encode(render(torch.as_tensor(starts), torch.as_tensor(layout)))
    held = torch.as_tensor(np.tile(action, agent.model.config.chunk))
    plans = held.expand(len(starts), chunks, -1)
    imagined = agent.model.locate(agent.model.rollout(latents, plans)).numpy()
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    image = np.zeros((65, 65, 3), dtype=np.uint8) + 255
    walls = render(starts[:1], layout[None])[0][..., 1] > 0
    image[walls] = 60
    axes.imshow(image, extent=(-0.5, 64.5, 64.5, -0.5))
    for row in range(len(starts)):
        path_true = np.array([points[row] for points in true])
        axes.plot(*path_true.T, color="#0072b2", lw=3, label="true" if row == 0 else None)
        axes.plot(*imagined[row].T, "o--", color="#d55e00", ms=4,
                  label="imagined" if row == 0 else None)  # fmt: skip
    axes.set(xticks=[], yticks=[], title=f"moving right for {steps} steps")
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
