"""`make real`: the whole road on real Chinese text, and docs/real-run.md written from what it left.

The document holds figures of the run's artifacts only; nothing in it is written by hand.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as parquet
import yaml

from benchmarks.machine import describe
from mobilebert.reporting import tables
from mobilebert.reporting.collect import collect
from mobilebert.reporting.tables import Table
from mobilebert.storage.atomic import write_atomically

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "benchmarks/real.yaml"
RESULTS = ROOT / "results" / "real"
DOCUMENT = ROOT / "docs" / "real-run.md"
DATA = ROOT.parent / "shared" / "data"
COMMAND = ["snakemake", "--profile", "profiles/local", "all", "--configfile", CONFIG]


def main() -> None:
    """Run the workflow, then write the document."""
    if not DATA.is_dir():
        sys.exit(f"make real needs the real text at {DATA}, which is not there; `make demo` needs nothing")
    fresh = not RESULTS.exists()
    start = time.monotonic()
    done = subprocess.run([Path(sys.executable).with_name(COMMAND[0]), *COMMAND[1:]], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    minutes = (time.monotonic() - start) / 60
    write_atomically(DOCUMENT, document(minutes if fresh else None).encode())
    print(f"Written: {DOCUMENT.relative_to(ROOT)}")


def document(minutes: float | None) -> str:
    """docs/real-run.md.

    Args:
        minutes: wall time of the whole run, or None where an earlier run had left results.
    """
    settings = yaml.safe_load((ROOT / CONFIG).read_text("utf-8"))
    run = collect(RESULTS)
    wall = (
        f"{minutes:.1f} minutes from start to end"
        if minutes
        else "not measured: this run went on from earlier results"
    )
    sections = [
        "# The whole road on real Chinese text",
        "Written by `make real` from the results of the run; do not edit.",
        f"- Command: `{' '.join(COMMAND)}`\n- Machine: {describe()}\n- Time: {wall}",
        (
            f"## The settings that differ from "
            f"config.yaml\n\n```yaml\n{yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)}```"
        ),
        "## Language models on held-out text",
        "Masked-token accuracy on documents that no training saw, the same masks for all. The arms of the "
        "student took the same number of optimizer steps: the distilled one in its transfer stages and its "
        "pretraining; `scratch` (random weights) and `tables` (the teacher's tables, no other help) in "
        "plain masked language modelling. One seed.",
        markdown(tables.models(run)),
        "## Task scores",
        (
            "Mean over seeds, beside the majority answer of the training file. Both tasks are slices of the "
            "real ones."
        ),
        seen_contexts(),
        markdown(tables.scores(run)),
        "## From raw text to kept documents",
        markdown(tables.funnel(run)),
        "Why documents were dropped:",
        markdown(tables.reasons(run)),
        "## Records",
        markdown(tables.records(run)),
        "## Exports",
        markdown(tables.exports(run)),
        "## Time and memory by stage",
        "Sums over the jobs of a stage, from Snakemake's benchmark files.",
        markdown(costs()),
    ]
    return "\n\n".join(section for section in sections if section).strip() + "\n"


def seen_contexts() -> str:
    """How many contexts of the reading task's dev file stand in the corpus, by their 20-grams: pretraining
    has seen their text.
    """
    wanted = {}
    for line in (RESULTS / "tasks" / "cmrc2018" / "dev.jsonl").read_text("utf-8").splitlines():
        wanted.setdefault(json.loads(line)["context"], set())
    contexts_of: dict[str, list[str]] = {}
    for context in wanted:
        for gram in _grams(context):
            contexts_of.setdefault(gram, []).append(context)
    for file in sorted((RESULTS / "corpus").glob("*.parquet")):
        for text in parquet.read_table(file, columns=["text"]).column(0).to_pylist():
            for gram in _grams(text) & contexts_of.keys():
                for context in contexts_of[gram]:
                    wanted[context].add(gram)
    seen = sum(len(grams) > len(_grams(context)) / 2 for context, grams in wanted.items())
    return (
        f"The texts of {seen} of the {len(wanted)} CMRC dev contexts (not their questions) are part of the "
        f"corpus, by more than half of "
        "their 20-grams: the wiki paragraphs hold the CMRC contexts; `corpus.decontaminate` would drop them."
    )


def _grams(text: str, length: int = 20) -> set[str]:
    return {text[start : start + length] for start in range(len(text) - length + 1)}


def costs() -> Table:
    """Jobs, seconds and the largest memory of each rule."""
    rows = []
    for folder in sorted(path for path in (RESULTS / "benchmarks").iterdir() if path.is_dir()):
        measured = [
            row
            for path in sorted(folder.glob("*.tsv"))
            for row in csv.DictReader(path.open(), delimiter="\t")
        ]
        seconds = sum(float(row["s"]) for row in measured)
        memory = max(
            (float(row["max_rss"]) for row in measured if row["max_rss"] not in ("-", "NA")), default=0.0
        )
        rows.append([folder.name, len(measured), f"{seconds:.0f}", f"{memory:,.0f}"])
    return tables.table(["stage", "#jobs", "#seconds", "#largest memory (MB)"], rows)


def markdown(table: Table) -> str:
    """A table as Markdown; "" where it is empty."""
    if not table.rows:
        return ""
    head = "| " + " | ".join(column.name for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.number else "---" for column in table.columns) + "|"
    return "\n".join([head, rule, *("| " + " | ".join(row) + " |" for row in table.rows)])


if __name__ == "__main__":
    main()
