"""A command of scripts/ that trains, in a process of its own, with what it cost and how well it learned written beside what it makes.

    python -m benchmarks.quality_job FIGURES.json MASKS-SEED transfer_layer --settings ...

The command is the project's own. Counted is the CPU time of this process, all its threads, while the loop's host calls run. The first
call is left out of the rate, since it traces the program: a price that is paid once a job, whatever its length.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mobilebert.artifacts import write_atomically
from scripts.command import run

Call = tuple[int, float]  # steps, CPU seconds


def main() -> None:
    """Run the command, then write the figures."""
    figures, seed, name, *arguments = sys.argv[1:]
    script = importlib.import_module(f"scripts.{name}")
    calls: list[Call] = []

    def measured(options: argparse.Namespace) -> None:
        count_calls(calls)
        script.main(options)
        found = summary(calls) | {"process": time.process_time()}
        if name.startswith("pretrain"):
            found["heldout"] = heldout(options, int(seed))
        write_atomically(Path(figures), json.dumps(found).encode())

    sys.argv = [name, *arguments]
    run(measured, script.parser())


def count_calls(calls: list[Call]) -> None:
    """Let every host call of the one loop leave its steps and CPU seconds in `calls`."""
    from mobilebert.training import loop  # here: it brings TensorFlow

    class Counted(loop.Steps):
        def run(self, first: int, count: int) -> np.ndarray:
            start = time.process_time()
            rows = super().run(first, count)
            calls.append((count, time.process_time() - start))
            return rows

    loop.Steps = Counted  # type: ignore[misc]


def summary(calls: list[Call]) -> dict[str, float]:
    """`steps` that were measured after the first call, their CPU seconds (`counted`), and those of the first call (`first`)."""
    return {
        "steps": sum(steps for steps, _ in calls[1:]),
        "counted": sum(seconds for _, seconds in calls[1:]),
        "first": calls[0][1] if calls else 0.0,
    }


def heldout(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The figures of the written model on held-out text, with masks of this seed, whatever seed it was trained with."""
    from mobilebert import settings
    from mobilebert.distillation import evaluation
    from mobilebert.models import weights
    from mobilebert.records import reader

    told = settings.from_json(options.settings)
    return evaluation.masked_lm(weights.load(options.out), reader.RecordSet(options.records), told["masking"], 32, seed)


if __name__ == "__main__":
    main()
