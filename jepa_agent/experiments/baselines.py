"""Stable-Baselines3's algorithms: settings, features, training that goes on."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

try:
    from sb3_contrib import TQC
    from stable_baselines3 import PPO, SAC, HerReplayBuffer
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.logger import Logger, make_output_format
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError(f'{error}; run `pip install -e ".[sb3]"`') from None

from ..io.locking import RunError
from ..io.serialisation import write_json  # the package registers TwoRooms-v0

Algorithm = PPO | OffPolicyAlgorithm
"""Algorithms of the comparison; SAC and TQC learn off-policy."""
CENTRE, SCALE = 32.0, 28.0
"""Pixels between the borders to numbers of about [-1, 1]."""
HINDSIGHT = {
    "replay_buffer_class": HerReplayBuffer,
    "replay_buffer_kwargs": {"n_sampled_goal": 4, "goal_selection_strategy": "future"},
}
"""HER's own defaults (Andrychowicz et al., 1707.01495)."""
ACTOR_CRITIC: dict[str, Any] = {
    "learning_rate": 1e-3,
    "batch_size": 256,
    "gamma": 0.98,
    "tau": 0.05,
    "learning_starts": 2_000,
    "gradient_steps": 4,
    "buffer_size": 200_000,
}
"""RL Zoo's for goals of the Fetch robot (learning rate, tau), smaller for two cores: 4 updates of
256 transitions for every step of the 8 environments. Gamma is 0.98 instead of 0.95, which would
leave a seventh of the reward after the longest paths, 38 steps."""
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

    algorithm: type[PPO] | type[OffPolicyAlgorithm]
    obs_type: str
    steps: int
    settings: dict[str, Any]
    reward_type: str = "sparse"


PIXELS = {"buffer_size": 50_000, "gradient_steps": 2}
BASELINES = {
    "ppo-state": Baseline(PPO, "state", 1_000_000, PROXIMAL, "dense"),
    "sac-state": Baseline(SAC, "state", 100_000, ACTOR_CRITIC),
    "sac-her-state": Baseline(SAC, "state", 100_000, {**ACTOR_CRITIC, **HINDSIGHT}),
    "tqc-her-state": Baseline(TQC, "state", 100_000, {**ACTOR_CRITIC, **HINDSIGHT}),
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
        super().__init__(
            observation_space, sum(gym.spaces.flatdim(observation_space[k]) for k in keys)
        )

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        seen = torch.cat([observations["observation"], observations["desired_goal"]], dim=-1)
        return (seen - CENTRE) / SCALE


class Images(BaseFeaturesExtractor):
    """One small CNN for the observation and the goal."""

    def __init__(self, observation_space: gym.spaces.Dict, features: int = 128) -> None:
        super().__init__(observation_space, 2 * features)
        images = observation_space["observation"]
        assert isinstance(images, gym.spaces.Box)
        convolutions = nn.Sequential(
            nn.Conv2d(images.shape[0], 32, 5, stride=4, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            flat = convolutions(torch.zeros(1, *images.shape)).shape[1]
        self.net = nn.Sequential(convolutions, nn.Linear(flat, features), nn.ReLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        keys = ("observation", "desired_goal")
        return torch.cat([self.net(observations[key]) for key in keys], dim=-1)


@dataclass
class Spent:
    """The costs of a training so far, and its success."""

    steps: int = 0
    budget: int = 0
    """Total number of steps."""
    settings: str = ""
    """The baseline's settings; a resumed run must have the same."""
    frames: int = 0
    """Observations that its gradients have seen, goals left out."""
    seconds: float = 0.0
    diverged: bool = False
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Steps of the environments, and success at that time."""


class Diverged(Exception):
    """A parameter is not finite."""


def keep(folder: Path, model: Algorithm, spent: Spent) -> None:
    """Write model, replay buffer and costs under new names; `spent.json` makes them current.

    At the end of a run the replay buffer, gigabytes of pixels, is left out.
    """
    names = {"model": f"model-{spent.steps}.zip"}
    model.save(folder / names["model"])
    if isinstance(model, OffPolicyAlgorithm) and spent.steps < spent.budget:
        names["buffer"] = f"buffer-{spent.steps}.pkl"
        model.save_replay_buffer(folder / names["buffer"])
    write_json(folder / "spent.json", {**vars(spent), "files": names})
    forget(folder, names)


def forget(folder: Path, names: dict[str, str]) -> None:
    """Remove models and replay buffers but for the current ones."""
    for path in (*folder.glob("model-*.zip"), *folder.glob("buffer-*.pkl")):
        if path.name not in names.values():
            path.unlink()


def frames_seen(model: Algorithm) -> int:
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
    make: Callable[[], gym.Env],
    steps: int,
    seed: int,
    folder: Path,
    score: Callable[[Algorithm], float],
    device: str = "auto",
    checkpoints: int = 20,
) -> tuple[Algorithm | None, Spent]:
    """Train a baseline, or go on from what the folder holds.

    Args:
        baseline: what to train.
        make: makes an environment, as the baseline sees and is rewarded for it.
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
    if spent.steps and spent.budget != steps:
        raise RunError(
            f"a resumed run must have the budget that it began with, {folder} has one of "
            f"{spent.budget:,} steps, got {steps:,}; use that, or another --out"
        )
    if spent.steps and spent.settings != repr(baseline):
        raise RunError(
            f"a resumed run must have the settings that it began with, {folder} has "
            f"{spent.settings}, got {baseline}; use those, or another --out"
        )
    if spent.diverged:
        return None, spent
    spent.budget, spent.settings = steps, repr(baseline)
    envs = make_vec_env(make, n_envs=ENVIRONMENTS, seed=seed)
    if files:
        model = baseline.algorithm.load(folder / files["model"], env=envs, device=device)
        if isinstance(model, OffPolicyAlgorithm) and "buffer" in files:
            model.load_replay_buffer(folder / files["buffer"])
    else:
        extractor = States if baseline.obs_type == "state" else Images
        model = baseline.algorithm(
            "MultiInputPolicy", envs, seed=seed, device=device,
            policy_kwargs={"features_extractor_class": extractor, "net_arch": [256, 256]},
            **baseline.settings,
        )  # fmt: skip
    if spent.steps >= steps:
        envs.close()
        return model, spent
    logs = [make_output_format(kind, str(folder), f"-{spent.steps}") for kind in log_formats()]
    model.set_logger(Logger(str(folder), logs))
    try:
        _learn(model, envs, seed, spent, folder, score, max(1, steps // checkpoints))
    except (Diverged, ValueError) as error:
        # torch's distributions refuse NaN with a ValueError
        if isinstance(error, ValueError) and "nan" not in str(error):
            raise
        spent.steps, spent.diverged = model.num_timesteps, True
        write_json(folder / "spent.json", {**vars(spent), "files": {}})
        forget(folder, {})
    finally:
        model.logger.close()
        envs.close()
    return (None if spent.diverged else model), spent


def _learn(
    model: Algorithm,
    envs: VecEnv,
    seed: int,
    spent: Spent,
    folder: Path,
    score: Callable[[Algorithm], float],
    every: int,
) -> None:
    """Train in parts, with a checkpoint after each.

    Every part starts from what a checkpoint holds, with fresh episodes and numbers seeded by the
    steps before it, so a run that was interrupted ends with the same bits as one that was not.
    """
    with Progress(transient=True) as progress:
        task = progress.add_task(folder.name, total=spent.budget)

        def show(found: dict[str, Any], _: dict[str, Any]) -> bool:
            progress.update(task, completed=found["self"].num_timesteps)
            return True

        while spent.steps < spent.budget:
            began = time.perf_counter()
            model.set_env(envs)  # forgets the episodes in progress
            model.set_random_seed(part_seed(seed, spent.steps))
            part = min(spent.budget, spent.steps + every - spent.steps % every) - spent.steps
            model.learn(part, show, reset_num_timesteps=False)
            buffer = model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None
            if isinstance(buffer, HerReplayBuffer):
                with warnings.catch_warnings():  # the last episodes are cut off on purpose
                    warnings.simplefilter("ignore", UserWarning)
                    buffer.truncate_last_trajectory()
            spent.seconds += time.perf_counter() - began
            spent.steps, spent.frames = model.num_timesteps, frames_seen(model)
            if not all(p.isfinite().all() for p in model.policy.parameters()):
                raise Diverged
            spent.curve.append((spent.steps, score(model)))
            model.logger.record("rollout/success_on_fixed_seeds", spent.curve[-1][1])
            model.logger.dump(spent.steps)
            keep(folder, model, spent)


def part_seed(seed: int, steps: int) -> int:
    """The seed of the part of a run that begins after some steps."""
    return int(np.random.SeedSequence((seed, steps)).generate_state(1)[0])


def log_formats() -> list[str]:
    """Where Stable-Baselines3's logger writes: TensorBoard if it is installed, and CSV."""
    return ["csv", *(["tensorboard"] if find_spec("tensorboard") else [])]
