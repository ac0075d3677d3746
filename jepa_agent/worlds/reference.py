"""An environment by its name: what `gym.make` takes, what wraps it, how observations are framed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import (
    HumanRendering,
    NormalizeObservation,
    OrderEnforcing,
    RecordVideo,
    TimeLimit,
)
from gymnasium.wrappers.common import PassiveEnvChecker

from ..io.serialisation import to_dict
from ..registry import import_object
from .arguments import from_plain, import_path, to_plain
from .history import stack_frames
from .hooks import AchievedGoals, GoalsAsObservations, SuccessInInfo, with_hooks
from .pixels import RenderedObservation

NOT_RECORDED = (
    *(PassiveEnvChecker, OrderEnforcing, HumanRendering, RecordVideo),
    *(GoalsAsObservations, AchievedGoals, SuccessInInfo),
)
"""Wrappers that check or show and change nothing, or that `EnvRef.make` adds itself."""
USUAL = (*NOT_RECORDED, TimeLimit)
"""Wrappers that `gym.make` adds itself, and those."""


@dataclass(frozen=True)
class WrapperRef:
    """A wrapper by its name.

    Args:
        path: `package.module:Name` of a class or function that is called with the environment.
        kwargs: its other arguments, as `to_plain` writes them.
    """

    path: str
    kwargs: dict = field(default_factory=dict)

    def wrap(self, env: gym.Env) -> gym.Env:
        """Apply it to an environment.

        Raises:
            ValueError: if it cannot be imported or gives no environment.
        """
        wrapped = import_object(self.path)(env, **from_plain(self.kwargs))
        if not isinstance(wrapped, gym.Env):
            raise ValueError(
                f"the wrapper {self.path} must return an environment, got "
                f"{type(wrapped).__name__}; name a wrapper"
            )
        return wrapped

    @classmethod
    def read(cls, wrapper: gym.Wrapper) -> WrapperRef:
        """Name a wrapper that records its arguments, or takes none.

        Raises:
            ValueError: if another process could not build it again.
        """
        kwargs = getattr(wrapper, "_saved_kwargs", None)
        if kwargs is None and len(inspect.signature(type(wrapper)).parameters) == 1:
            kwargs = {}  # it takes the environment alone
        try:
            if kwargs is None:
                raise ValueError("it does not record its arguments")
            if isinstance(wrapper, NormalizeObservation):
                raise ValueError("its running statistics are lost, and models standardise anyway")
            return cls(import_path(type(wrapper)), to_plain(kwargs))
        except ValueError as error:
            name = type(wrapper).__qualname__
            raise ValueError(
                f"the wrapper {name} must be one that another process can build again: {error}; "
                "name it with --wrapper package.module:function, or register an "
                "environment that has it"
            ) from None


def rendered(size: int = 0) -> WrapperRef:
    """The wrapper that shows frames of a height and width; 0 for those that are rendered."""
    return WrapperRef(import_path(RenderedObservation), {"size": size})


@dataclass(frozen=True)
class EnvRef:
    """The environment that a model was trained for, so that any process can build it.

    Args:
        id: its registered name, after the module that registers it and a colon where that is not
            Gymnasium; a name alone, registered here, gets its module.
        kwargs: its keyword arguments, as `to_plain` writes them.
        history: frames per observation; see `stack_frames`.
        wrappers: what wraps it, from the inside.
        max_episode_steps: its time limit; None for the registered one, -1 for none.
    """

    id: str
    kwargs: dict
    history: int = 1
    wrappers: tuple[WrapperRef, ...] = ()
    max_episode_steps: int | None = None

    def __post_init__(self) -> None:
        if registered := gym.registry.get(self.id):
            object.__setattr__(self, "id", importable_name(registered))

    @property
    def pixels(self) -> bool:
        """Whether observations are rendered frames."""
        return any(wrapper.path == rendered().path for wrapper in self.wrappers)

    def make(self, **overrides: Any) -> gym.Env:
        """Build the environment; overrides win over the recorded arguments.

        Raises:
            ValueError: if its constructor does not take them, or a wrapper cannot be imported.
        """
        arguments = from_plain(self.kwargs)
        if self.max_episode_steps is not None:
            arguments["max_episode_steps"] = self.max_episode_steps
        arguments |= overrides
        if self.pixels:
            arguments["render_mode"] = "rgb_array"
        if arguments.get("render_mode", "") is None:  # not every constructor has the argument
            del arguments["render_mode"]
        try:
            env = gym.make(self.id, **arguments)
        except TypeError as error:
            raise ValueError(
                f"the constructor of {self.id} must take its arguments, among them render_mode if "
                f"frames are to be shown, got {error}; correct them"
            ) from error
        env = with_hooks(env)
        for wrapper in self.wrappers:
            env = wrapper.wrap(env)
        return stack_frames(env, self.history)

    @classmethod
    def read(cls, env: gym.Env, history: int = 1) -> EnvRef:
        """Name an environment that `gym.make` built, with its wrappers and its time limit.

        Args:
            env: the environment.
            history: frames per observation; see `stack_frames`.

        Raises:
            ValueError: if it is not registered, or another process could not build it again.
        """
        spec = env.unwrapped.spec
        if spec is None:
            raise ValueError(
                f"an environment must be registered to be built again, got {env.unwrapped}; "
                "gym.register it, and build it with gym.make"
            )
        name = importable_id(env)
        try:
            kwargs = to_plain(spec.kwargs)
        except ValueError as error:
            raise ValueError(f"the arguments of {name} cannot be stored: {error}") from None
        wrappers, limit = _read_wrappers(env)
        if not wrappers:  # which may need frames
            kwargs.pop("render_mode", None)
        registered = gym.registry.get(spec.id)
        usual = registered.max_episode_steps if registered else None
        steps = None if limit == usual else (limit or -1)
        return cls(name, kwargs, history, tuple(wrappers), steps)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> EnvRef:
        """The environment that trajectories come from, by metadata with an `env_id`."""
        wrappers = tuple(WrapperRef(**wrapper) for wrapper in metadata.get("wrappers", ()))
        if "wrappers" not in metadata and metadata.get("record", {}).get("pixels"):
            wrappers = (rendered(),)  # of a version that did not name it
        return cls(
            metadata["env_id"],
            metadata.get("env_kwargs") or {},
            metadata.get("history", 1),
            wrappers,
            metadata.get("max_episode_steps"),
        )

    def metadata(self) -> dict[str, Any]:
        """What trajectories of this environment say about it; see `from_metadata`."""
        named = to_dict(self)
        return {"env_id": named.pop("id"), "env_kwargs": named.pop("kwargs"), **named}


def importable_id(env: gym.Env) -> str:
    """The id by which a fresh process makes an environment: after a module that registers it.

    That of its class, whose packages are imported with it; whoever registers elsewhere gives
    `EnvRef` the id.
    """
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else importable_name(spec)


def importable_name(spec: EnvSpec) -> str:
    """The same of a registered environment's specification."""
    entry: Any = spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    package, ours = module.partition(".")[0], __name__.partition(".")[0]
    if package in ("", "__main__", "gymnasium"):
        return spec.id
    return f"{ours if package == ours else module}:{spec.id}"


def _read_wrappers(env: gym.Env) -> tuple[list[WrapperRef], int | None]:
    """The wrappers that were put around what `gym.make` gives, and the time limit."""
    layers = _layers(env)
    if not all(isinstance(layer, USUAL) for layer in layers):
        layers = layers[_own_layers(env.unwrapped.spec) :]
    wrappers: list[WrapperRef] = []
    limit: int | None = None
    for layer in layers:
        if isinstance(layer, TimeLimit) and not wrappers:
            steps = layer._saved_kwargs["max_episode_steps"]
            limit = min(steps, limit or steps)
        elif not isinstance(layer, NOT_RECORDED):
            wrappers.append(WrapperRef.read(layer))
    return wrappers, limit


def _own_layers(spec: Any) -> int:
    """How many wrappers an environment's entry point puts around it."""
    fresh = gym.make(spec.id, **spec.kwargs)
    layers = _layers(fresh)
    fresh.close()
    while layers and isinstance(layers[-1], USUAL):
        layers.pop()
    return len(layers)


def _layers(env: gym.Env) -> list[gym.Wrapper]:
    """Wrappers of an environment, from the inside."""
    layers = []
    while isinstance(env, gym.Wrapper):
        layers.append(env)
        env = env.env
    return layers[::-1]
