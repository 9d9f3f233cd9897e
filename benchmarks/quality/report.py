"""docs/quality.md from the raw figures of `make quality`: tables between two marks, in a page whose other
text is written by hand.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.real_run import markdown
from mobilebert.reporting.tables import table

BEGIN, END = "<!-- figures: written by `make quality`, do not edit -->", "<!-- end of the figures -->"
PAGE = f"""# What transfer is worth

Students of one shape, trained in eight ways by this project's own commands on real Chinese text
(`make quality`; the settings: benchmarks/quality/quality.yaml; the raw figures:
benchmarks/results/quality.json).

| arm | what it is told |
|---|---|
| scratch | random weights, plain masked language modelling |
| tables | the teacher's embedding tables and MLM head to start from, nothing else of the teacher |
| soft labels | the tables, and half of the loss is the teacher's distribution |
| joint | the tables; all layers at once in the first half of the steps; then soft labels |
| progressive | the same layer by layer; layers below frozen, at a tenth of the rate, or at the full rate |
| auxiliary | the tables; soft labels, and the terms of the transfer beside them throughout |

**Equal steps**: every arm takes as many optimizer steps. **Equal cost**: every arm takes as many as cost what
the joint arm's steps cost, by the CPU seconds a step that the first seed's arms of the same run took (one
thread each, four side by side; start-up, tracing and evaluation are not counted; they weigh on small runs
only; nor is the teacher's own training, which `scratch` does without). Accuracy is that of masked tokens on
held-out documents, the same masks for all. `against tables` is the difference to the arm `tables` of the same
seed, mean and spread (standard deviation) over the seeds. Learning rates are those of
benchmarks/quality/quality.yaml; `make quality QUALITY=--tune` tries one grid for all arms, with another seed.
What an earlier run made is found again by its settings and inputs, whatever the program was then; an empty
`--kept` makes all of it anew.

{BEGIN}
{END}
"""
COMPARED = {"steps": "At equal steps", "cost": "At equal cost"}


def document(results: Mapping[str, Any], page: Path) -> str:
    """The page with new tables; a page that is not there begins as `PAGE`."""
    text = page.read_text("utf-8") if page.is_file() else PAGE
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"


def figures(results: Mapping[str, Any]) -> str:
    """All tables, setting by setting."""
    blocks = [f"Machine: {results['machine']}."]
    for name, setting in results["design"]["settings"].items():
        runs = [run for run in results["runs"] if run["setting"] == name]
        if not runs:
            continue
        blocks += [f"## {setting['means']} (`{name}`)", describe_setting(results, name, runs)]
        for comparison, title in COMPARED.items():
            rows = [run for run in runs if run["comparison"] == comparison]
            if rows:
                shown = arms(rows)
                full = [
                    column for column in range(len(HEADS)) if any(row[column] is not None for row in shown)
                ]
                chosen = table(
                    [HEADS[column] for column in full], [[row[column] for column in full] for row in shown]
                )
                blocks += [f"### {title}", markdown(chosen)]
    return "\n\n".join(blocks)


def describe_setting(results: Mapping[str, Any], name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """What stands above the tables of a setting: the teacher, chance, and how exact an accuracy is."""
    teacher, count = results["teachers"].get(name), runs[0]["heldout"]["predictions"]
    share, most = (runs[0]["heldout"][key] for key in ("masked_accuracy", "unigram_accuracy"))
    lines = [
        f"- {count:,} held-out tokens are predicted: the standard error of one accuracy of {share:.2f} is "
        f"{math.sqrt(share * (1 - share) / count):.4f}. Always guessing the most frequent token: {most:.3f}."
    ]
    if teacher:
        scores = [scored["metrics"]["accuracy"] for scored in teacher["scores"]]
        lines.append(
            f"- The teacher: accuracy {teacher['heldout']['masked_accuracy']:.4f}, loss "
            f"{teacher['heldout']['masked_loss']:.3f}, after "
            f"{results['design']['settings'][name]['teacher']['training']['steps']:,} steps"
            + (f"; ChnSentiCorp {spread(scores, 3)}." if scores else ".")
        )
    for scored in [run["score"] for run in runs if run["score"]][:1]:
        most = scored["majority"]["accuracy"]
        lines.append(
            f"- ChnSentiCorp: {scored['examples']:,} reviews, a slice of the real task; the majority "
            f"answer has {most:.3f}."
        )
    return "\n".join(lines)


HEADS = [
    "arm",
    "#steps",
    "#CPU s",
    "#accuracy",
    "#loss",
    "#against tables",
    "#better",
    "#ChnSentiCorp",
    "#seeds",
]


def arms(runs: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """A row an arm, in the order of the runs: means and spreads over the seeds."""
    tables = {run["seed"]: run["heldout"]["masked_accuracy"] for run in runs if run["arm"] == "tables"}
    rows = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm]
        accuracies = [run["heldout"]["masked_accuracy"] for run in own]
        gains = [
            run["heldout"]["masked_accuracy"] - tables[run["seed"]] for run in own if run["seed"] in tables
        ]
        scores = [run["score"]["metrics"]["accuracy"] for run in own if run["score"]]
        other = arm != "tables" and gains
        rows.append(
            [
                arm,
                f"{sum(own[0]['steps'].values()):,}",
                spread([run["cpu_seconds"] for run in own], 0),
                spread(accuracies, 4),
                spread([run["heldout"]["masked_loss"] for run in own], 3),
                spread(gains, 4, "+") if other else None,
                f"{sum(gain > 0 for gain in gains)} of {len(gains)}" if other else None,
                spread(scores, 3) if scores else None,
                len(own),
            ]
        )
    return rows


def spread(values: Sequence[float], digits: int, sign: str = "") -> str:
    """ "mean ± standard deviation"; the mean alone of a single value."""
    mean = f"{statistics.mean(values):{sign}.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
