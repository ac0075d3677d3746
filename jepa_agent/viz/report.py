"""One page about an agent: figures, plots, videos, distance maps.

It needs no network and no other files: everything is inside `index.html`.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..agent.agent import JEPAAgent
from ..envs.drawing import to_array
from ..evaluation.episodes import Episode
from ..evaluation.metrics import Report
from ..io.serialisation import to_json
from ..worlds.protocols import Drawable, HasLayout, unit_of
from .plan_view import draw
from .session import Session
from .videos import VideoWriter

try:
    from jinja2 import Environment, FileSystemLoader

    from .plots import Figure, heat_map, open_loop_errors, reliability, training_curves
except ImportError as error:
    raise ImportError(f'{error}; run `pip install -e ".[plots]"`') from None

VIDEO_SIZE = (590, 410)
FRAMES_A_SECOND = 12
AFTER_SUCCESS = 8
LONGEST = 200
FIELDS = 3
"""Number of episodes per suite whose distance map is shown."""


def write_report(
    folder: Path,
    agent: JEPAAgent,
    report: Report,
    run: Path,
    settings: Mapping[str, Mapping[str, Any]],
) -> Path:
    """Write `index.html` into a folder.

    Args:
        folder: created if missing.
        agent: the evaluated agent; it replays episodes for the videos.
        report: the report of the evaluation.
        run: the training's folder, whose curves are shown if there are any, and how failures were
            foreseen if `jepa-agent calibrate` was run on it.
        settings: the environment's keyword arguments by suite.

    Returns:
        The path of the page.
    """
    suites, world = [], agent.env_ref.make().unwrapped
    names = world.layout_names if isinstance(world, HasLayout) else ()
    unit = unit_of(world)
    can_draw = isinstance(world, Drawable)
    for suite in report.suites:
        kwargs, episodes = settings.get(suite, {}), report.episodes[f"agent/{suite}"]
        picked = notable(episodes) if can_draw else {}
        suites.append(
            {
                "name": suite,
                "rows": [row for row in report.rows if row.suite == suite],
                "heat_map": as_image(heat_map(episodes, suite, names)) if names else None,
                "open_loop": as_image(open_loop_errors(report.open_loop[suite], suite, unit))
                if suite in report.open_loop
                else None,
                "videos": [
                    (f"{name}: {story(episode)}", replay(agent, kwargs, episode))
                    for name, episode in picked.items()
                ],
                "fields": [
                    (place(each, names), energy(agent, kwargs, each.seed))
                    for each in episodes[:FIELDS]
                    if can_draw
                ],
            }
        )
    log, forecasts = run / "metrics.jsonl", run / "failures.json"
    foreseen = reliability(json.loads(forecasts.read_text())) if forecasts.exists() else None
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = templates.get_template("report.html").render(
        suites=suites,
        curves=as_image(training_curves(lines)) if lines else None,
        foreseen=as_image(foreseen) if foreseen else None,
        config=to_json(report.config, indent=2),
        training=to_json(agent.notes, indent=2),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path, temporary = folder / "index.html", folder / "index.html.tmp"
    temporary.write_text(page)
    temporary.replace(path)
    return path


def notable(episodes: Sequence[Episode]) -> dict[str, Episode]:
    """The best, the median and the worst episode, by steps over the fewest possible."""
    played = [each for each in episodes if each.error is None]
    order = sorted(played, key=lambda e: (e.steps or np.inf) / (e.optimal_steps or 1))
    if not order:
        return {}
    return {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}


def story(episode: Episode) -> str:
    """One line about an episode."""
    where = f"seed {episode.seed}, fewest steps {episode.optimal_steps}"
    return f"{where}, taken {episode.steps}" if episode.steps else f"{where}, goal not reached"


def place(episode: Episode, names: Sequence[str]) -> str:
    """The episode's seed and layout."""
    numbers = zip(names, episode.layout or (), strict=False)
    return ", ".join([f"seed {episode.seed}", *(f"{name} {value:g}" for name, value in numbers)])


def replay(agent: JEPAAgent, settings: Mapping[str, Any], episode: Episode) -> str:
    """The episode as a GIF, played again with what the agent imagines."""
    session = Session(agent, episode.seed, **settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "episode.gif"
        with VideoWriter(path, FRAMES_A_SECOND) as writer:
            for _ in range(min(LONGEST, (episode.steps or LONGEST) + AFTER_SUCCESS)):
                session.step(wait=True)
                writer.add(to_array(draw(session.view(), VIDEO_SIZE)))
        session.close()
        return as_data("image/gif", path.read_bytes())


def energy(agent: JEPAAgent, settings: Mapping[str, Any], seed: int) -> str:
    """The learned distance to an episode's goal, and the true one, before the first step."""
    import imageio.v3 as imageio

    session = Session(agent, seed, **settings)
    session.fields = "learned and true"
    picture = to_array(draw(session.view(wait=True), VIDEO_SIZE))
    session.close()
    return as_data("image/png", imageio.imwrite("<bytes>", picture, extension=".png"))


def as_image(figure: Figure) -> str:
    """A plot as a data URL."""
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return as_data("image/svg+xml", file.getvalue())


def as_data(kind: str, content: Any) -> str:
    """An image as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
