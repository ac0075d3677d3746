"""Pictures of planning: what the agent imagines, drawn over the environment's own frames."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from .agent import JEPAAgent
from .costs import imagine
from .experience import Experience
from .planners import Plan

PLAN = (0, 114, 178)
CANDIDATE = (86, 180, 233)
TRAIL = (213, 94, 0)
PANEL = (38, 43, 51)
TEXT = (240, 240, 240)
PANEL_HEIGHT = 40
SHOWN_CANDIDATES = 24


@torch.no_grad()
def imagined_paths(
    agent: JEPAAgent, image: np.ndarray, plan: Plan, experience: Experience | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """States that the probe reads off an imagined plan and off the best of its last candidates.

    Args:
        agent: whose model imagines.
        image: uint8 (H, W, C), the current observation.
        plan: of one problem.
        experience: that it was found with.

    Returns:
        The plan's states (horizon + 1, S), and those of up to 24 candidates
        (N, horizon + 1, S), from best to worst.
    """
    latents = agent.model.encode(torch.as_tensor(image[None], device=agent.device))  # (1, D)
    rounds = list(zip(plan.trace.costs, plan.trace.candidates, strict=True))
    several = [one for one in rounds if one[0].shape[1] > 1]  # MPPI's last one is its mean alone
    costs, candidates = (several or rounds)[-1]
    order = costs[0].argsort()[:SHOWN_CANDIDATES]
    actions = torch.cat([plan.actions[:, None], candidates[:, order]], dim=1)
    imagined = imagine(agent.model, latents, actions, experience)[0][0]  # (N, H, D)
    start = latents[:, None].expand(imagined.shape[0], -1, -1)
    states = agent.model.locate(torch.cat([start, imagined], dim=1)).cpu().numpy()
    return states[0], states[1:]


@torch.no_grad()
def energy_field(
    agent: JEPAAgent,
    states: np.ndarray,
    goal: np.ndarray,
    context: np.ndarray,
    distance: str = "value",
) -> np.ndarray:
    """What the agent holds the distance to a goal to be, from many states of one context.

    Args:
        agent: whose model measures.
        states: (..., S).
        goal: (S,).
        context: (C,).
        distance: "value" or "latent", as in `CostConfig`.

    Returns:
        (...): chunks for "value", mean squared difference for "latent".
    """
    world: Any = agent.env.make().unwrapped
    render = world.render_states
    flat = torch.as_tensor(states, device=agent.device).float().reshape(-1, states.shape[-1])
    points = torch.cat([flat, torch.as_tensor(goal, device=agent.device).float()[None]])
    where = torch.as_tensor(context, device=agent.device).float()
    latents = torch.cat([agent.model.encode(render(part, where)) for part in points.split(1024)])
    if distance == "value":
        field = agent.model.distance(latents[:-1], latents[-1:])
    else:
        field = (latents[:-1] - latents[-1:]).square().mean(dim=-1)
    return field.cpu().numpy().reshape(states.shape[:-1])


def draw(
    frame: np.ndarray,
    caption: str,
    plan: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
    trail: np.ndarray | None = None,
) -> Any:
    """Draw a plan over a frame, with a line of text below.

    Args:
        frame: uint8 (height, width, 3), the environment's picture.
        caption: the text.
        plan: (P, 2) screen points of the best plan.
        candidates: (N, P, 2) screen points, from best to worst; they fade in that order.
        trail: (P, 2) screen points of the path walked so far.

    Returns:
        A pygame surface.
    """
    import pygame
    import pygame.freetype

    height, width = frame.shape[:2]
    surface = pygame.Surface((width, height + PANEL_HEIGHT))
    surface.fill(PANEL)
    overlay = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
    if candidates is not None:
        layer = pygame.Surface((width, height), pygame.SRCALPHA)
        for rank in reversed(range(len(candidates))):
            alpha = int(200 * (1 - rank / len(candidates)) ** 2) + 25
            pygame.draw.lines(layer, (*CANDIDATE, alpha), False, candidates[rank].tolist(), 2)
        overlay.blit(layer, (0, 0))
    if trail is not None and len(trail) > 1:
        pygame.draw.lines(overlay, TRAIL, False, trail.tolist(), 3)
    if plan is not None:
        pygame.draw.lines(overlay, PLAN, False, plan.tolist(), 4)
        for point in plan[1:]:
            pygame.draw.circle(overlay, PLAN, point.tolist(), 6)
    surface.blit(overlay, (0, 0))
    if not pygame.freetype.get_init():
        pygame.freetype.init()
    font = pygame.freetype.Font(None, 15)
    text, box = font.render(caption, TEXT)
    surface.blit(text, (12, height + (PANEL_HEIGHT - box.height) // 2))
    return surface


class VideoWriter:
    """Writes frames to a GIF or MP4 file, which appears once it is complete.

    Args:
        path: ends in .gif or .mp4.
        fps: frames a second.

    Raises:
        ValueError: for another ending.
        ImportError: for MP4 without the `video` extra.
    """

    def __init__(self, path: Path, fps: int) -> None:
        suffix = path.suffix.lower()
        if suffix not in (".gif", ".mp4"):
            raise ValueError(f"a video must end in .gif or .mp4, got {path}; rename it")
        import imageio.v2 as imageio

        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        if suffix == ".gif":
            options: dict[str, Any] = {"duration": 1000 / fps, "loop": 0, "subrectangles": True}
        else:
            try:
                import imageio_ffmpeg  # noqa: F401
            except ImportError:
                raise ImportError(
                    f"{path} needs ffmpeg; run `pip install jepa-agent[video]` or write a .gif"
                ) from None
            options = {"fps": fps, "macro_block_size": 8}
        self._writer = imageio.get_writer(self._temporary, **options)

    def add(self, frame: np.ndarray) -> None:
        """Append a uint8 frame (height, width, 3)."""
        self._writer.append_data(frame)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)
