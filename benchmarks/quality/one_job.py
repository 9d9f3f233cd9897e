"""A command of scripts/ that trains, in a process of its own, with what it cost and how well it learned
written beside what it makes.

    python -m benchmarks.quality.one_job FIGURES.json MASKS-SEED transfer_layer --settings ...

The command is the project's own. Counted is the CPU time of this process, all its threads, while the loop's
host calls run. The first call is left out of the rate, since it traces the program: a price that is paid once
a job, whatever its length. Calls are noted in FIGURES.json.calls as they end, since a job that was broken off
goes on, perhaps after its last step.
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

from mobilebert.storage.atomic import write_atomically
from scripts.command import run

Call = tuple[int, float, bool]  # steps, CPU seconds, whether it is a process's first


def main() -> None:
    """Run the command, then write the figures."""
    figures, seed, name, *arguments = sys.argv[1:]
    script = importlib.import_module(f"scripts.{name}")
    noted = Path(f"{figures}.calls")

    def measured(options: argparse.Namespace) -> None:
        count_calls(noted)
        script.main(options)
        body = summary(read_calls(noted)) | {"process": time.process_time()}
        if name.startswith("pretrain"):
            body["heldout"] = heldout(options, int(seed))
        write_atomically(Path(figures), json.dumps(body).encode())
        noted.unlink(missing_ok=True)

    sys.argv = [name, *arguments]
    run(measured, script.parser())


def count_calls(noted: Path) -> None:
    """Let every host call of the one loop leave a `Call` in that file."""
    from mobilebert.training import loop  # here: it brings TensorFlow

    first_calls = iter([True])

    class Counted(loop.Steps):
        def run(self, first: int, count: int) -> np.ndarray:
            start = time.process_time()
            rows = super().run(first, count)
            call: Call = (count, time.process_time() - start, next(first_calls, False))
            with noted.open("a") as stream:
                stream.write(
                    "\n" + json.dumps(call)
                )  # a new line first: the one before may have been cut short
            return rows

    loop.Steps = Counted  # type: ignore[misc]


def read_calls(noted: Path) -> list[Call]:
    """The calls of a job's processes; a line that a kill cut short is left out."""
    lines = noted.read_text("utf-8").splitlines() if noted.is_file() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("]")]


def summary(calls: list[Call]) -> dict[str, float]:
    """`steps` measured after a process's first call, their CPU seconds (`counted`), and those of a step of
    the first of all (`first`).
    """
    later = [(steps, seconds) for steps, seconds, first in calls if not first]
    return {
        "steps": sum(steps for steps, _ in later),
        "counted": sum(seconds for _, seconds in later),
        "first": calls[0][1] / calls[0][0] if calls else 0.0,
    }


def heldout(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The figures of the written model on held-out text, with masks of this seed, whatever seed it was
    trained with.
    """
    from mobilebert import settings
    from mobilebert.distillation import evaluation
    from mobilebert.models.checkpoints import weights
    from mobilebert.records import reader

    masking = settings.parse(options.settings).masking
    return evaluation.masked_lm(
        weights.load(options.out), reader.RecordSet(options.records), masking, 32, seed
    )


if __name__ == "__main__":
    main()
