"""Sharing agents: folders with a model card, and the Hugging Face Hub (extra `hub`)."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..io.checkpoint import CheckpointError, resolve
from ..io.serialisation import to_dict
from ..worlds.reference import EnvRef

if TYPE_CHECKING:
    from .agent import JEPAAgent

FILES = ["README.md", "config.json", "model-*.safetensors", "report.json"]
"""The files of a shared checkpoint."""


class HubMixin:
    """`save_pretrained`, `from_pretrained` and `push_to_hub`, as models of the Hub have them.

    Only `push_to_hub`, and `from_pretrained` with the id of a repository, need the extra `hub`.
    """

    def save_pretrained(
        self,
        directory: str | Path,
        report: str | Path | None = None,
        license: str = "apache-2.0",
    ) -> None:
        """Write a checkpoint directory with a model card, `README.md`.

        Args:
            directory: created if missing.
            report: the `report.json` of this agent's evaluation; its figures go into the card, and
                the file beside it.
            license: the weights' licence, by the Hub's short name.
        """
        directory, agent = Path(directory), cast("JEPAAgent", self)
        rows = [] if report is None else json.loads(Path(report).read_text())["rows"]
        agent.save(directory)
        if report is not None and Path(report).resolve() != (directory / "report.json").resolve():
            shutil.copy(report, directory / "report.json")
        (directory / "README.md").write_text(model_card(agent, rows, license))

    @classmethod
    def from_pretrained(
        cls, path_or_id: str | Path, revision: str | None = None, **options: Any
    ) -> JEPAAgent:
        """Load an agent from a directory, or from a repository on the Hub.

        Args:
            path_or_id: a checkpoint directory, or an id such as `"name/my-agent"`.
            revision: a branch, a tag or a commit of the repository.
            options: other arguments of `load`, such as the device and the seed.

        Raises:
            CheckpointError: if there is no such directory or repository, or it is damaged.
            ImportError: if the Hub is needed and its extra is not installed.
        """
        path = resolve(path_or_id)
        if not path.is_dir():
            download = _hub().snapshot_download
            try:
                path = Path(download(str(path_or_id), revision=revision, allow_patterns=FILES))
            except (OSError, ValueError) as error:
                raise CheckpointError(
                    f"{path_or_id} must be a checkpoint directory or a repository of the Hub that "
                    f"can be reached, got {error}"
                ) from error
        return cast("type[JEPAAgent]", cls).load(path, **options)

    def push_to_hub(
        self,
        repo_id: str,
        report: str | Path | None = None,
        license: str = "apache-2.0",
        private: bool = False,
    ) -> str:
        """Upload the agent with its model card; makes the repository if it is missing.

        Args:
            repo_id: such as `"name/my-agent"`.
            report: see `save_pretrained`.
            license: see `save_pretrained`.
            private: whether a new repository is private.

        Returns:
            The address of the commit.
        """
        api = _hub().HfApi()
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, report, license)
            api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id, folder_path=folder, delete_patterns="model-*.safetensors"
            )
        return str(done)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f'the Hub needs the extra `hub`, got {error}; run `pip install -e ".[hub]"`, or give '
            "the path of a checkpoint directory"
        ) from None
    return huggingface_hub


def model_card(agent: JEPAAgent, rows: list[dict[str, Any]], license: str) -> str:
    """The README of a shared agent, written from its checkpoint and its evaluation.

    Args:
        agent: the agent that the card describes.
        rows: the rows of its `report.json`; empty if it was not evaluated.
        license: the weights' licence.
    """
    env = agent.env_ref if agent.has_environment else EnvRef("recorded-data", {})
    shape = agent.model.config
    weights = sum(parameter.numel() for parameter in agent.model.parameters())
    recipe = {
        "model": to_dict(shape),
        "planner": {"name": type(agent.planner).__name__} | _config(agent.planner),
        "cost": to_dict(agent.cost),
        **{name: note for name, note in agent.notes.items() if name != "data"},
    }
    return CARD.format(
        license=json.dumps(license),
        env=env.id,
        tag=json.dumps(env.id.rpartition(":")[2]),
        needed="" if agent.has_environment else NEEDED,
        kwargs=json.dumps(env.kwargs),
        shape=" x ".join(map(str, shape.observation_shape)),
        parameters=f"{weights:,}",
        data=_block(agent.notes["data"]) if "data" in agent.notes else "Not recorded.",
        recipe=_block(recipe),
        figures=_figures(rows) if rows else "Not evaluated.",
    )


def _config(planner: Any) -> dict[str, Any]:
    return to_dict(planner.config) if hasattr(planner, "config") else {}


def _block(document: Any) -> str:
    return f"```json\n{json.dumps(document, indent=2)}\n```"


def _figures(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| policy | suite | episodes | success, % (Wilson 95 %) | at the last step, % |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        share, low, high, end = (
            f"{100 * row[name]:.1f}"
            for name in ("success", "success_low", "success_high", "success_end")
        )
        cells = (row["policy"], row["suite"], row["episodes"], f"{share} ({low} to {high})", end)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", "Every episode is in `report.json`."])


NEEDED = """\
agent.set_environment(EnvRef("module:Name-v0", {}))  # from jepa_agent; the data named none
"""

CARD = """\
---
library_name: jepa-agent
license: {license}
pipeline_tag: reinforcement-learning
tags:
- jepa
- world-model
- planning
- gymnasium
- {tag}
---

# A JEPA agent for {env}

A joint-embedding world model of {parameters} parameters, and a planner that searches action
sequences in its latent space. It learned from `{env}` with the arguments `{kwargs}`,
without rewards, sees observations of shape {shape}, and is given its goal as one.

## How to load it

With the library jepa-agent and its extra `hub` installed, give the id of this repository, or the
path of a copy:

```python
from jepa_agent import JEPAAgent

agent = JEPAAgent.from_pretrained("path/or/id")
{needed}env = agent.env_ref.make()
observation, info = env.reset(seed=0)
action, state = agent.predict(observation)
```

The files are safetensors and JSON; nothing is unpickled.

## Figures

{figures}

## Data

{data}

## Recipe

{recipe}

## Limits

The model has seen only the data above, and the figures hold for the environment, the arguments and
the planner named here. A plan minimises a learned distance: nothing guarantees that it avoids what
the data do not contain.
"""
