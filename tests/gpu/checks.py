"""What a GPU would be asked to do, by training, planning, watching and pretraining.

Every check is a function of what was `seen`; it raises where a rule is broken. `test_gpu.py` runs
this in a process of its own, `with_hooks.py`, which prints a JSON document.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable

import checks_of_benchmark
import checks_of_planning
import checks_of_pretraining
import checks_of_training
import torch
from faults import FAULTS, STALE, Plant
from made import launches
from pretended import Seen, pretended_gpu
from stand_ins import without_compiler

from jepa_agent.agent import replayed
from jepa_agent.training import graph

CHECKS: dict[str, Callable[[Seen], None]] = {
    **checks_of_training.CHECKS,
    **checks_of_planning.CHECKS,
    **checks_of_pretraining.CHECKS,
    **checks_of_benchmark.CHECKS,
}


def main() -> None:
    """Run all checks, and every planted fault's check; print what failed and what was missed."""
    torch.set_num_threads(1)
    without_compiler()
    graph.WARM_UP, replayed.WARM_UP = 1, 2  # steps and decisions before there is a graph
    warnings.filterwarnings("error", message=".* are launched kernel by kernel")
    failed, caught, missed = {}, {}, {}
    for name, check in CHECKS.items():
        began = time.process_time()
        try:
            with pretended_gpu() as seen:
                check(seen)
        except Exception:
            failed[name] = traceback.format_exc(limit=-4)
        print(f"{name}: {time.process_time() - began:.1f} s", file=sys.stderr)
    counted = dict(launches)
    for name, fault in FAULTS.items():
        began = time.process_time()
        found, raised = caught_by(*fault)
        (caught if found else missed)[name] = raised
        print(f"{name}: {time.process_time() - began:.1f} s", file=sys.stderr)
    document = {"failed": failed, "missed": missed, "caught": caught, "launches": counted}
    document |= {"planted": [*FAULTS], "stale": caught_by(*STALE)}
    print(json.dumps({**document, "seconds": time.process_time()}))


def caught_by(plant: Plant, check: str, says: str) -> tuple[bool, str]:
    """Whether a check fails by the words that a fault must make it say, and what is raised."""
    try:
        with pretended_gpu() as seen, plant():
            CHECKS[check](seen)
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        return says in raised, raised
    return False, "nothing"


if __name__ == "__main__":
    main()
