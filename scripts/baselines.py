"""Stable-Baselines3's algorithms on Two Rooms: settings, features, training that goes on."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from rich.progress import Progress
from torch import Tensor, nn

try:
    from sb3_contrib import TQC
    from stable_baselines3 import PPO, SAC, HerReplayBuffer
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
except ImportError as error:
    raise ImportError(f'{error}; run `pip install -e ".[sb3]"`') from None

from jepa_agent.configs import write_json  # the package registers TwoRooms-v0

CENTRE, SCALE = 32.0, 28.0
"""Pixels of Two Rooms to numbers of about [-1, 1]."""
HINDSIGHT = {
    "replay_buffer_class": HerReplayBuffer,
    "replay_buffer_kwargs": {"n_sampled_goal": 4, "goal_selection_strategy": "future"},
}
"""HER's own defaults (Andrychowicz et al., 1707.01495)."""
ACTOR_CRITIC: dict[str, Any] = {
    "learning_rate": 1e-3,
    "batch_size": 256,
    "gamma": 0.95,
    "tau": 0.05,
    "learning_starts": 2_000,
    "gradient_steps": 4,
    "buffer_size": 200_000,
}
"""Those of RL Zoo for goals of the Fetch robot (learning rate, gamma, tau), smaller for two cores:
4 updates of 256 transitions for every step of the 8 environments."""
PROXIMAL: dict[str, Any] = {"n_steps": 256, "batch_size": 256, "gamma": 0.99, "gae_lambda": 0.95}
"""Stable-Baselines3's defaults, with 8 environments of 256 steps an update."""
ENVIRONMENTS = 8


@dataclass(frozen=True)
class Baseline:
    """An algorithm, what it sees, and what it is rewarded for.

    Args:
        algorithm: its class.
        obs_type: "state" or "pixels".
        steps: of the environments, by default.
        settings: of the algorithm.
        reward_type: "sparse", or "dense", which knows the map.
    """

    algorithm: type[BaseAlgorithm]
    obs_type: str
    steps: int
    settings: dict[str, Any]
    reward_type: str = "sparse"


PIXELS = {"buffer_size": 50_000, "gradient_steps": 2}
BASELINES = {
    "ppo-state": Baseline(PPO, "state", 1_000_000, PROXIMAL, "dense"),
    "sac-state": Baseline(SAC, "state", 200_000, ACTOR_CRITIC),
    "sac-her-state": Baseline(SAC, "state", 200_000, {**ACTOR_CRITIC, **HINDSIGHT}),
    "tqc-her-state": Baseline(TQC, "state", 200_000, {**ACTOR_CRITIC, **HINDSIGHT}),
    "ppo-pixels": Baseline(PPO, "pixels", 500_000, PROXIMAL, "dense"),
    "sac-pixels": Baseline(SAC, "pixels", 100_000, {**ACTOR_CRITIC, **PIXELS}),
    "sac-her-pixels": Baseline(SAC, "pixels", 100_000, {**ACTOR_CRITIC, **HINDSIGHT, **PIXELS}),
    "tqc-her-pixels": Baseline(TQC, "pixels", 100_000, {**ACTOR_CRITIC, **HINDSIGHT, **PIXELS}),
}
"""Rows of the comparison. PPO's dense reward is privileged: it knows the map."""


class States(BaseFeaturesExtractor):
    """Position, layout and goal in one vector of about [-1, 1]."""

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        keys = ("observation", "desired_goal")
        super().__init__(observation_space, sum(observation_space[k].shape[0] for k in keys))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        seen = torch.cat([observations["observation"], observations["desired_goal"]], dim=-1)
        return (seen - CENTRE) / SCALE


class Images(BaseFeaturesExtractor):
    """One small CNN for what is seen and for the goal."""

    def __init__(self, observation_space: gym.spaces.Dict, features: int = 128) -> None:
        super().__init__(observation_space, 2 * features)
        shape = observation_space["observation"].shape
        convolutions = nn.Sequential(
            nn.Conv2d(shape[0], 32, 5, stride=4, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            flat = convolutions(torch.zeros(1, *shape)).shape[1]
        self.net = nn.Sequential(convolutions, nn.Linear(flat, features), nn.ReLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        keys = ("observation", "desired_goal")
        return torch.cat([self.net(observations[key]) for key in keys], dim=-1)


@dataclass
class Spent:
    """What a training has cost so far, and what it has reached."""

    steps: int = 0
    frames: int = 0
    """Observations that its gradients have seen, goals left out."""
    seconds: float = 0.0
    diverged: bool = False
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Steps of the environments, and success at that time."""


class Diverged(Exception):
    """A parameter is not finite."""


class Checkpoints(BaseCallback):
    """Now and then: look for NaN, score the policy, keep model and replay buffer.

    Args:
        folder: where they are kept.
        spent: updated in place; its seconds leave scoring and writing out.
        every: steps of the environments.
        score: the success of a policy.
        advance: called with the number of steps done.
    """

    def __init__(
        self,
        folder: Path,
        spent: Spent,
        every: int,
        score: Callable[[BaseAlgorithm], float],
        advance: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._folder, self._spent, self._every, self._score = folder, spent, every, score
        self._advance, self._due = advance, spent.steps + every

    def _on_training_start(self) -> None:
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        self._advance(self.num_timesteps)
        if self.num_timesteps >= self._due:
            self.pause()
            self._due += self._every
        return True

    def _on_training_end(self) -> None:
        if self.num_timesteps > self._spent.steps:
            self.pause()

    def pause(self) -> None:
        """Count, check, score and save."""
        spent = self._spent
        spent.seconds += time.perf_counter() - self._began
        spent.steps = self.num_timesteps
        spent.frames = frames_seen(self.model)
        if not all(p.isfinite().all() for p in self.model.policy.parameters()):
            raise Diverged
        spent.curve.append((spent.steps, self._score(self.model)))
        self.logger.record("rollout/success_on_fixed_seeds", spent.curve[-1][1])
        keep(self._folder, self.model, spent)
        self._began = time.perf_counter()


def keep(folder: Path, model: BaseAlgorithm, spent: Spent) -> None:
    """Write model, replay buffer and costs under new names; `spent.json` makes them current."""
    _, old = kept(folder)
    names = {"model": f"model-{spent.steps}.zip"}
    model.save(folder / names["model"])
    if hasattr(model, "save_replay_buffer"):
        names["buffer"] = f"buffer-{spent.steps}.pkl"
        model.save_replay_buffer(folder / names["buffer"])
    write_json(folder / "spent.json", {**vars(spent), "files": names})
    for name in set(old.values()) - set(names.values()):
        (folder / name).unlink(missing_ok=True)


def frames_seen(model: BaseAlgorithm) -> int:
    """Observations in all of a model's batches so far."""
    if isinstance(model, PPO):
        return model.n_epochs * model.num_timesteps
    return model._n_updates * model.batch_size


def kept(folder: Path) -> tuple[Spent, dict[str, str]]:
    """What a folder's run has spent so far, and the names of its files."""
    path = folder / "spent.json"
    if not path.exists():
        return Spent(), {}
    found = json.loads(path.read_text())
    files = found.pop("files")
    return Spent(**found), files


def train(
    baseline: Baseline,
    layout: str,
    steps: int,
    seed: int,
    folder: Path,
    score: Callable[[BaseAlgorithm], float],
    device: str = "auto",
    checkpoints: int = 20,
) -> tuple[BaseAlgorithm | None, Spent]:
    """Train a baseline, or go on from what the folder holds.

    Args:
        baseline: what to train.
        layout: of the environments.
        steps: of the environments in all.
        seed: of the algorithm and the environments.
        folder: of this run alone; it holds the user's own files, which Stable-Baselines3 unpickles.
        score: the success of a policy, for the learning curve.
        device: where to train.
        checkpoints: how often to score and save.

    Returns:
        The trained policy, None if a parameter became NaN or infinite, and what it cost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spent, files = kept(folder)
    if spent.diverged:
        return None, spent
    envs = make_vec_env(
        "TwoRooms-v0", n_envs=ENVIRONMENTS, seed=seed,
        env_kwargs={"layout": layout, "obs_type": baseline.obs_type,
                    "reward_type": baseline.reward_type},
    )  # fmt: skip
    if files:
        model = baseline.algorithm.load(folder / files["model"], env=envs, device=device)
        if "buffer" in files:
            with warnings.catch_warnings():  # cutting the last episode off is right: it is over
                warnings.simplefilter("ignore", UserWarning)
                model.load_replay_buffer(folder / files["buffer"])
    else:
        extractor = States if baseline.obs_type == "state" else Images
        model = baseline.algorithm(
            "MultiInputPolicy", envs, seed=seed, device=device,
            policy_kwargs={"features_extractor_class": extractor, "net_arch": [256, 256]},
            **baseline.settings,
        )  # fmt: skip
    model.set_logger(configure(str(folder), log_formats()))
    try:
        if spent.steps < steps:
            _learn(model, spent, steps, folder, score, max(1, steps // checkpoints))
    except (Diverged, ValueError) as error:
        # torch's distributions refuse NaN with a ValueError
        if isinstance(error, ValueError) and "nan" not in str(error):
            raise
        spent.diverged = True
        write_json(folder / "spent.json", {**vars(spent), "files": {}})
    finally:
        model.logger.close()
        envs.close()
    return (None if spent.diverged else model), spent


def _learn(
    model: BaseAlgorithm,
    spent: Spent,
    steps: int,
    folder: Path,
    score: Callable[[BaseAlgorithm], float],
    every: int,
) -> None:
    with Progress(transient=True) as progress:
        task = progress.add_task(folder.name, total=steps)
        bar = partial(progress.update, task)
        callback = Checkpoints(folder, spent, every, score, lambda done: bar(completed=done))
        model.learn(steps - spent.steps, callback, reset_num_timesteps=False)


def log_formats() -> list[str]:
    """Where Stable-Baselines3's logger writes: TensorBoard if it is installed, and CSV."""
    return ["csv", *(["tensorboard"] if find_spec("tensorboard") else [])]
