"""What a world may offer beside the required, and what it enables."""

from __future__ import annotations

from typing import NamedTuple

from . import protocols


class Optional(NamedTuple):
    """What a protocol of `jepa_agent.worlds.protocols` enables, and how a world offers it."""

    enables: str
    how: str


PROTOCOLS: dict[type, Optional] = {
    protocols.HasState: Optional(
        "states recorded beside images, for the probe", "a property `state`, or info['state']"
    ),
    protocols.NamesStates: Optional(
        "diagnostics that name what a model does not see", "`state_names`, a name a number"
    ),
    protocols.HasUnit: Optional("errors with their unit", "`unit`, such as 'm'"),
    protocols.OffersOracle: Optional(
        "`evaluate --oracle`, which shows how hard tasks are",
        "`oracle_policy()`, a policy that is shown `state`, `goal` and `layout`",
    ),
    protocols.HasIdleAction: Optional(
        "plans that begin with it, and staying at goals", "`idle_action`, where it is not 0"
    ),
    protocols.ShowsGoals: Optional("goals that are no observations", "`observation_of_goal(goal)`"),
    protocols.DefinesSuccess: Optional(
        "success without `is_success` in the info", "`success(info)` returning a bool"
    ),
    protocols.Resettable: Optional(
        "goals from data", "`reset_options(state, goal, layout)`, options of `reset`"
    ),
    protocols.HasLayout: Optional(
        "figures by layout, and terms that contrast layouts", "`layout` and `layout_names`"
    ),
    protocols.RendersStates: Optional(
        "images rendered in training, not stored", "`render_states(states, layout)`, batched"
    ),
    protocols.HasMap: Optional(
        "shortest-path figures and distance maps",
        "`step_length`, `is_free`, `shortest_path`, `free_states`",
    ),
    protocols.GroupsPairs: Optional(
        "rank correlations by groups of pairs", "`pair_groups(states, goals, layout)`"
    ),
    protocols.RatesEpisodes: Optional(
        "strict success, and steps beside the fewest", "`strict_radius` and `fewest_steps()`"
    ),
    protocols.Drawable: Optional(
        "plans drawn over the world, in a window",
        "`state`, `goal`, `scene(size, floor)` and `state_to_screen(states, size)`",
    ),
    protocols.Movable: Optional(
        "things moved by the mouse",
        "`handles`, `screen_to_state`, `handle_at` and `moved(name, state)`",
    ),
}
"""What is optional; the world is `env.unwrapped`."""
