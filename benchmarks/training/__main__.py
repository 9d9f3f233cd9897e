"""`make bench-training`: our training steps beside PyTorch's and TextBrewer's, in strict turns; writes
benchmarks/results/training.md.

Every arm is a process of its own on the same cores with the same threads. The processes of a group live at
the same time, and only the one whose turn it is computes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import bounds, report
from benchmarks.training import workload as work

ROOT = Path(__file__).resolve().parents[2]
OURS, THEIRS = "benchmarks.training.ours", "benchmarks.training.torch_peer"
TEXTBREWER = ROOT / ".venv-bench-training"
STAGES = (1, 3, 6, 9, 12)
JOINT: dict[str, dict[str, tuple[str, str]]] = {
    "float32": {
        "ours": (OURS, "joint"),
        "PyTorch eager": (THEIRS, "joint"),
        "PyTorch eager, logits gathered": (THEIRS, "joint-gathered"),
        "torch.compile": (THEIRS, "joint-compiled"),
        "TextBrewer": (THEIRS, "joint-textbrewer"),
    },
    "bfloat16": {
        "ours": (OURS, "joint"),
        "PyTorch eager": (THEIRS, "joint"),
        "torch.compile": (THEIRS, "joint-compiled"),
        "torch.compile, logits gathered": (THEIRS, "joint-compiled-gathered"),
    },
}
PROGRESSIVE = "progressive"
PARTS = [*JOINT, PROGRESSIVE]


class Worker:
    """A process that trains one arm."""

    def __init__(self, folder: Path, module: str, kind: str, precision: str, cores: Sequence[int]) -> None:
        """Start it; it traces or compiles and takes its first step, alone on the cores."""
        self.name = f"{module.rsplit('_', 1)[1]} {kind} {precision}"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(len(cores)),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TOKENIZERS_PARALLELISM": "false",
        }
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(TEXTBREWER)])
        self._errors = (folder / f"{self.name.replace(' ', '-')}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), kind, precision, str(len(cores))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self.facts = self._heard()
        self.seconds: list[float] = []
        self.host: list[float] = []
        print(f"  {self.name}: {json.dumps(self.facts)}", flush=True)

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} ended:\n{self._errors.read()[-3000:]}")
        return dict(json.loads(line))

    def _asked(self, steps: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._heard()

    def turn(self, steps: int = 3) -> tuple[list[float], list[float]]:
        """Seconds of each of so many steps but the first, and CPU seconds of the thread that told them; the
        first finds the processor's caches as another arm left them.
        """
        answer = self._asked(steps)
        return answer["seconds"][1:], answer["host"][1:]

    def close(self) -> None:
        """End it, and note the most memory that it held."""
        if self._process.poll() is None:  # otherwise it failed, and its error is on its way up
            self.facts |= self._asked(0)
            self._process.wait()
        self._errors.close()

    def result(self) -> dict[str, Any]:
        """Median seconds a step, the host's share of them, and what it said of itself."""
        seconds = statistics.median(self.seconds)
        return {
            "seconds": seconds,
            "least": min(self.seconds),
            "host_share": statistics.median(self.host) / seconds,
            **self.facts,
        }


@contextmanager
def workers(
    folder: Path, arms: Mapping[str, tuple[str, str, str]], cores: Sequence[int]
) -> Iterator[dict[str, Worker]]:
    """Living processes by name, started one after the other."""
    with ExitStack() as stack:
        living = {}
        for name, arm in arms.items():
            living[name] = Worker(folder, *arm, cores)
            stack.callback(living[name].close)
        yield living


def in_turns(living: Mapping[str, Worker], rounds: int) -> None:
    """A B C A B C ..., two steps a turn that count, after one round that does not."""
    for number in range(rounds + 1):
        for worker in living.values():
            seconds, host = worker.turn()
            if number:
                worker.seconds += seconds
                worker.host += host


def main() -> None:
    """Measure what the command line names and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each arm")
    parser.add_argument("--cores", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument(
        "--skip",
        nargs="*",
        default=[],
        help="arms that are left out, by their kind: joint-compiled, joint-textbrewer, ...",
    )
    parser.add_argument(
        "--only", nargs="*", choices=PARTS, default=PARTS, help="parts to measure; the page keeps the others"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    before = {} if set(options.only) == set(PARTS) else report.read(options.out)
    with tempfile.TemporaryDirectory(prefix="bench-training-") as scratch:
        folder = Path(scratch)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.training.models", str(folder)], check=True, cwd=ROOT
        )
        measured = measure(folder, cores, options.rounds, set(options.skip), set(options.only), before)
    report.write(measured, options.out, cores=len(cores), rounds=options.rounds)


def measure(
    folder: Path,
    cores: Sequence[int],
    rounds: int,
    skip: set[str],
    sections: set[str],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """The groups of these parts, one after the other; the others as an earlier run found them."""
    measured = dict(before)
    for precision, group in JOINT.items():
        if precision not in sections:
            continue
        print(f"joint step, {precision}", flush=True)
        arms = {name: (*arm, precision) for name, arm in group.items() if arm[1] not in skip}
        with workers(folder, arms, cores) as living:
            in_turns(living, rounds)
        ours = living["ours"].seconds
        measured[precision] = {
            name: worker.result() | {"of_ours": paired(worker.seconds, ours)}
            for name, worker in living.items()
        }
        check_same_work(measured[precision], 1e-3 if precision == "float32" else 2e-2)
    if PROGRESSIVE not in sections:
        return measured
    measured[PROGRESSIVE] = progressive(folder, cores, rounds, measured)
    pipeline = Worker(folder, OURS, "pipeline", "float32", cores)
    measured["pipeline"] = pipeline.facts
    return measured


def paired(seconds: Sequence[float], ours: Sequence[float]) -> float:
    """The median of an arm's steps as shares of ours in the same turns: a machine's speed changes from
    turn to turn.
    """
    return statistics.median(one / other for one, other in zip(seconds, ours, strict=True))


def check_same_work(arms: Mapping[str, Mapping[str, Any]], tolerance: float) -> None:
    """Raise ValueError where an arm's first loss is not ours: it would not do the same work."""
    ours = arms["ours"]["loss"]
    for name, arm in arms.items():
        if not abs(arm["loss"] - ours) <= tolerance * abs(ours):
            raise ValueError(f"{name} starts with a loss of {arm['loss']}, ours is {ours}: not the same work")


def progressive(
    folder: Path, cores: Sequence[int], rounds: int, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Stages beside our own untrimmed step and the fastest peer that computes all layers, in our faster
    precision.
    """
    precision = min(JOINT, key=lambda name: measured[name]["ours"]["seconds"])
    peers = {
        (name, one): body["seconds"]
        for one in JOINT
        for name, body in measured[one].items()
        if name in ("PyTorch eager", "torch.compile")
    }
    fastest, theirs = min(peers, key=lambda pair: peers[pair])
    kind = "untrimmed-compiled" if fastest == "torch.compile" else "untrimmed"
    print(f"progressive transfer, {precision}; the fastest peer is {fastest}, {theirs}", flush=True)
    always = {"untrimmed": (OURS, "untrimmed", precision), "peer": (THEIRS, kind, theirs)}
    stages: dict[int, dict[str, Any]] = {}
    beside: dict[int, dict[str, float]] = {}
    with workers(folder, always, cores) as all_layers:
        for stage in STAGES:
            arms = {name: (OURS, f"{name}{stage:02d}", precision) for name in bounds.ARMS}
            before = {name: len(worker.seconds) for name, worker in all_layers.items()}
            with workers(folder, arms, cores) as trimmed:
                in_turns({**all_layers, **trimmed}, max(3, rounds // 2))
            stages[stage] = {name: worker.result() for name, worker in trimmed.items()}
            beside[stage] = {
                name: statistics.median(worker.seconds[before[name] :]) for name, worker in all_layers.items()
            }
    body: dict[str, Any] = {name: worker.result() for name, worker in all_layers.items()}
    check_same_work(
        {"ours": body["untrimmed"], fastest: body["peer"], "the last stage": stages[work.LAYERS]["layer"]},
        2e-2,
    )
    return body | {
        "stages": stages,
        "precision": precision,
        "fastest": f"{fastest}, {theirs}",
        **over_stages(stages, beside),
    }


def over_stages(
    stages: Mapping[int, Mapping[str, Any]], beside: Mapping[int, Mapping[str, float]]
) -> dict[str, Any]:
    """Means over all stages of a step's seconds, and of its share of what `beside` took in the same turns,
    by stage.
    """
    seconds = {
        name: {stage: arms[name]["seconds"] for stage, arms in stages.items()}
        for name in next(iter(stages.values()))
    }
    shares = {
        name: {
            other: mean({stage: one / beside[stage][other] for stage, one in each.items()})
            for other in ("untrimmed", "peer")
        }
        for name, each in seconds.items()
    }
    return {"means": {name: mean(each) for name, each in seconds.items()}, "shares": shares, "beside": beside}


def mean(stages: Mapping[int, float]) -> float:
    """Over stages 1 to 12, those not measured interpolated linearly between their neighbours."""
    return float(
        np.interp(
            np.arange(1, work.LAYERS + 1), sorted(stages), [stages[stage] for stage in sorted(stages)]
        ).mean()
    )


if __name__ == "__main__":
    main()
