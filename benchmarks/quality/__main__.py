"""`make quality`: what transfer is worth, on real Chinese text, at equal steps and at equal cost.

The arms of benchmarks/quality/quality.yaml are trained by the project's own commands, four side by side in
one thread each. Everything made is kept (`--kept`) and found again, so a run that was broken off goes on and
teachers are trained once. Measured figures go raw to benchmarks/results/quality.json, and as tables into
docs/quality.md, between two marks; the text around them stays as it is.

    python -m benchmarks.quality                          the whole of it
    python -m benchmarks.quality --settings plain --only tables joint --seeds 1
    python -m benchmarks.quality --tune                   learning rates, one grid for all arms, another seed
    python -m benchmarks.quality --report                 tables of what is there, nothing is run
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.quality import report
from benchmarks.quality.jobs import ROOT, Job, Kept, run_all
from benchmarks.quality.plan import ARMS, DESIGN, Chain, Lengths, Plan, read_design
from mobilebert.storage.atomic import canonical_json, write_atomically

RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
TUNING = ROOT / "benchmarks" / "results" / "quality-tuning.json"
DOCUMENT = ROOT / "docs" / "quality.md"
REFERENCE = "joint"  # its cost is what every arm may spend
COMPARISONS = ("steps", "cost")


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for, then write results and document."""
    options = parser().parse_args(arguments)
    plan, kept = Plan(read_design(options.design)), Kept(options.kept)
    missing = [path for job in (plan.records, plan.task) for path in outside(job) if not path.is_file()]
    if missing and not options.report:
        sys.exit(f"make quality needs the real text of ../shared/data; {missing[0]} is not there")
    named = options.settings or list(plan.settings)
    start = time.monotonic()
    if options.tune:
        tune(plan, kept, options, named)
        return
    if not options.report:
        run(plan, kept, options, named)
        print(f"{(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    seeds = list(plan.design["seeds"])
    results = {"machine": describe(), "design": plan.design} | collected(plan, kept, seeds)
    raw = options.results or RESULTS
    write_atomically(raw, canonical_json(results))
    write_atomically(options.document, report.document(results, options.document).encode())
    print(f"Written: {raw}, {options.document}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    made.add_argument(
        "--kept",
        type=Path,
        default=Path(caches, "mobilebert-zh", "quality"),
        help="where everything made is kept",
    )
    made.add_argument(
        "--only",
        nargs="+",
        choices=list(ARMS),
        default=list(ARMS),
        help="these arms, and joint, whose cost is the measure",
    )
    made.add_argument("--seeds", type=int, help="only the first so many of the design's seeds")
    made.add_argument("--settings", nargs="+", help="only these of the design's settings")
    made.add_argument(
        "--comparisons",
        nargs="+",
        choices=COMPARISONS,
        default=list(COMPARISONS),
        help="at equal steps, at equal cost",
    )
    made.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="trainings side by side")
    made.add_argument("--tune", action="store_true", help="find learning rates instead")
    made.add_argument("--report", action="store_true", help="run nothing")
    made.add_argument("--design", type=Path, default=DESIGN, help="the design")
    made.add_argument(
        "--results", type=Path, help="the raw figures, if not beside those of the other benchmarks"
    )
    made.add_argument("--document", type=Path, default=DOCUMENT, help="the page")
    return made


def run(plan: Plan, kept: Kept, options: argparse.Namespace, named: list[str]) -> None:
    """Teachers first; then the first seed at equal steps, which tells what a step costs; then everything
    else.
    """
    seeds = list(plan.design["seeds"])[: options.seeds]
    arms = [arm for arm in ARMS if arm in options.only or arm == REFERENCE]
    scored = [name for name in named if plan.settings[name]["scored"]]
    chains = [plan.chain(name, arm, seeds[0], plan.lengths(name, arm)) for name in named for arm in arms]
    run_all(kept, [plan.task, *(plan.teachers[name] for name in named), *jobs_of(chains)], options.cores)
    chains = [
        chain
        for seed, name, comparison in itertools.product(seeds, named, options.comparisons)
        for chain in compared(plan, kept, name, arms, seed, comparison)
    ]
    run_all(
        kept,
        [*jobs_of(chains), *(plan.teacher_score(name, seed) for name in scored for seed in seeds)],
        options.cores,
    )


def compared(
    plan: Plan, kept: Kept, setting: str, arms: Iterable[str], seed: int, comparison: str
) -> list[Chain]:
    """The chains of one comparison; at equal cost those arms whose cost the first seed has told."""
    lengths: dict[str, Lengths] = {}
    for arm in arms:
        factor = 1.0 if comparison == "steps" else affordable(plan, kept, setting, arm)
        if factor is not None:
            lengths[arm] = plan.lengths(setting, arm, factor)
    scored = plan.settings[setting]["scored"] == comparison
    return [plan.chain(setting, arm, seed, length, scored=scored) for arm, length in lengths.items()]


def affordable(plan: Plan, kept: Kept, setting: str, arm: str) -> float | None:
    """How many times the setting's steps an arm may take at the reference's cost, by the first seed's CPU
    seconds; None: not measured.
    """
    first = plan.design["seeds"][0]
    spent = [
        cost(kept, plan.chain(setting, name, first, plan.lengths(setting, name))) for name in (REFERENCE, arm)
    ]
    return None if spent[0] is None or spent[1] is None else spent[0] / spent[1]


def cost(kept: Kept, chain: Chain) -> float | None:
    """CPU seconds of a chain's steps, without start-up, tracing, checkpoints and evaluation; None where it
    has not ended.
    """
    seconds = 0.0
    for job in chain.trainings:
        figures = kept.figures(job)
        if figures is None:
            return None
        section = "transfer" if job.script == "transfer_layer" else "pretraining"
        rate = figures["counted"] / figures["steps"] if figures["steps"] else figures["first"]
        seconds += rate * job.settings[section]["training"]["steps"]
    return seconds


def collected(plan: Plan, kept: Kept, seeds: Iterable[int]) -> dict[str, Any]:
    """Teachers and runs, as far as they are there."""
    runs = []
    for name, seed, comparison in itertools.product(plan.settings, seeds, COMPARISONS):
        for chain in compared(plan, kept, name, ARMS, seed, comparison):
            if (figures := measured(kept, chain)) is not None:
                runs.append({"comparison": comparison} | figures)
    teachers = {}
    for name, job in plan.teachers.items():
        if (figures_of := kept.figures(job)) is not None:
            scores = (
                [score(kept, plan.teacher_score(name, seed)) for seed in seeds]
                if plan.settings[name]["scored"]
                else []
            )
            teachers[name] = {**figures_of, "scores": [value for value in scores if value]}
    return {"teachers": teachers, "runs": runs}


def measured(kept: Kept, chain: Chain) -> dict[str, Any] | None:
    """What is known of a finished chain."""
    spent = cost(kept, chain)
    if spent is None:
        return None
    figures = [kept.figures(job) or {} for job in chain.trainings]
    lengths = {
        "transfer": chain.lengths.stage * chain.lengths.stages,
        "pretraining": chain.lengths.pretraining,
    }
    return {
        "setting": chain.setting,
        "arm": chain.arm,
        "seed": chain.seed,
        "steps": lengths,
        "cpu_seconds": spent,
        "process_seconds": sum(one["process"] for one in figures),
        "heldout": figures[-1]["heldout"],
        "score": score(kept, chain.score) if chain.score else None,
    }


def score(kept: Kept, job: Job) -> dict[str, Any] | None:
    """The content of a finished scoring's scores.json."""
    if not kept.done(job):
        return None
    body: dict[str, Any] = json.loads((kept.folder_of(job) / "scores.json").read_text("utf-8"))
    return body


def tune(plan: Plan, kept: Kept, options: argparse.Namespace, named: list[str]) -> None:
    """Train every arm with every rate of the grid, with the tuning's own seed, and write accuracies and
    the best.
    """
    tuning = plan.design["tuning"]
    trials: dict[str, dict[str, Any]] = {}
    for name, arm in itertools.product(named, options.only):
        lengths = plan.lengths(name, arm, tuning["factor"])
        transfers = tuning["transfer"] if lengths.stages else tuning["transfer"][:1]
        # Where the terms of the transfer stand in the pretraining's loss, its rate is the transfer's.
        pretrainings = (
            tuning["transfer"] if ARMS[arm].get("schedule") == "auxiliary" else tuning["pretraining"]
        )
        grid = [
            {"transfer": one, "pretraining": other}
            for one, other in itertools.product(transfers, pretrainings)
        ]
        for rates in grid:
            chain = plan.chain(name, arm, tuning["seed"], lengths, rates)
            trials[f"{name} {arm} {rates}"] = {"chain": chain, "rates": rates}
    run_all(kept, [job for one in trials.values() for job in one["chain"].trainings], options.cores)
    rows = [
        figures | {"rates": one["rates"]}
        for one in trials.values()
        if (figures := measured(kept, one["chain"])) is not None
    ]
    write_atomically(options.results or TUNING, canonical_json(rows))
    for (name, arm), group in itertools.groupby(rows, lambda row: (row["setting"], row["arm"])):
        best = max(group, key=lambda row: row["heldout"]["masked_accuracy"])  # one that diverged has no row
        rates = ", ".join(f"{stage}: {rate:.1e}" for stage, rate in best["rates"].items())
        print(
            f"{name}:       {arm}: {{{rates}}}  # {best['heldout']['masked_accuracy']:.4f}"
        )  # as quality.yaml has them


def jobs_of(chains: Iterable[Chain]) -> Iterator[Job]:
    """The last jobs of the chains, which need the others."""
    for chain in chains:
        yield chain.score or chain.trainings[-1]


def outside(job: Job) -> list[Path]:
    """All files that a job and what it needs are made from."""
    return [*job.input_files, *(path for need in job.needs for path in outside(need))]


if __name__ == "__main__":
    main()
