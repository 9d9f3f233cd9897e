"""The tables of the report: numbers as text, units in the heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mobilebert.reporting.collect import Model, Run

PARAMETERS, SIZE, LATENCY = "parameters", "TFLite (MB)", "latency (ms)"  # columns of the summary
SCRIPTS = ("simplified", "traditional", "mixed", "neither")
EXCERPT = 120  # characters of a rejected document that are shown


@dataclass(frozen=True)
class Column:
    """A column's head, and whether it holds numbers (set to the right)."""

    name: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows of text."""

    columns: list[Column] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def table(columns: list[str], rows: list[list[Any]]) -> Table:
    """A table; a column whose name starts with "#" holds numbers."""
    heads = [Column(name.removeprefix("#"), name.startswith("#")) for name in columns]
    return Table(heads, [["" if cell is None else str(cell) for cell in row] for row in rows])


def summary(run: Run) -> Table:
    """What was made: size, speed and scores of teacher and students; a student's also beside the teacher's.

    Size (MB) and latency (ms) are of the TFLite export. A column that no model has a figure for is left out.
    """
    models = sorted((model for model in run.models if model.finished), key=lambda model: not model.is_teacher)
    figures = {model.name: _figures(run, model) for model in models}
    teacher = next((figures[model.name] for model in models if model.is_teacher), {})
    names = dict.fromkeys(name for one in figures.values() for name in one)
    columns = [name for name in names if any(one.get(name) is not None for one in figures.values())]
    rows = []
    for name, one in figures.items():
        compared = {} if one is teacher else teacher
        rows.append([name, *(_beside(column, one.get(column), compared.get(column)) for column in columns)])
    return table(["model", *(f"#{column}" for column in columns)], rows)


def _figures(run: Run, model: Model) -> dict[str, float | None]:
    """A model's figures by the name of their column; None: not measured."""
    timings = {row["model"]: row["latency"] for row in run.exports if row["format"] == "tflite"}
    timing = timings.get(model.name, {})
    scores = {
        f"{row['task']} {row['metric']}": float(row["mean"])
        for row in run.scores
        if row["model"] == model.name
    }
    figures = {
        PARAMETERS: model.parameters,
        SIZE: timing["bytes"] / 1e6 if "bytes" in timing else None,
        LATENCY: timing.get("minimum_ms"),  # a busy machine can only make a run slower
        "masked-token accuracy": model.heldout.get("masked_accuracy"),
    }
    return figures | scores


def _beside(column: str, value: float | None, teacher: float | None) -> str | None:
    """A figure, and what it is of the teacher's: `1.20 (2.5 times as fast)`, `0.310 (94%)`."""
    if value is None:
        return None
    digits = {PARAMETERS: 0, SIZE: 2, LATENCY: 2}.get(column, 3)
    shown = f"{value:,.{digits}f}"
    if not teacher or not value:
        return shown
    beside = f"{teacher / value:.1f} times as fast" if column == LATENCY else f"{value / teacher:.0%}"
    return f"{shown} ({beside})"


def models(run: Run) -> Table:
    """Parameters, size and held-out figures of every model."""
    columns = [
        "model",
        "#parameters",
        "#weights (MB)",
        "#masked-token accuracy",
        "#masked-token loss",
        "#tokens predicted",
    ]
    return table(columns, [_model_row(model) for model in run.models])


def _model_row(model: Any) -> list[Any]:
    heldout = model.heldout
    parameters = f"{model.parameters:,}" if model.parameters else None
    return [
        model.name,
        parameters,
        megabytes(model.weights),
        share(heldout.get("masked_accuracy")),
        decimal(heldout.get("masked_loss")),
        count(heldout.get("predictions")),
    ]


def scores(run: Run) -> Table:
    """Task scores beside the majority answer."""
    columns = ["model", "task", "metric", "#mean", "#spread", "#seeds", "#majority", "#examples"]
    rows = [
        [
            row["model"],
            row["task"],
            row["metric"],
            share(row["mean"]),
            share(row["std"]),
            row["seeds"],
            share(row["majority"]),
            row["examples"],
        ]
        for row in run.scores
    ]
    return table(columns, rows)


def funnel(run: Run) -> Table:
    """Documents and bytes in and out, for each source."""
    sources = run.funnel.get("sources", {})
    named = [*sources.items(), ("all", run.funnel["total"])] if len(sources) > 1 else list(sources.items())
    rows = [
        [
            name,
            count(source["in"]["documents"]),
            count(source["out"]["documents"]),
            megabytes(source["in"]["bytes"]),
            megabytes(source["out"]["bytes"]),
        ]
        for name, source in named
    ]
    return table(["source", "#documents in", "#documents out", "#text in (MB)", "#text out (MB)"], rows)


def reasons(run: Run) -> Table:
    """Dropped documents by source and reason, most first."""
    rows = [
        [
            name,
            reason,
            count(entry["documents"]),
            share(entry["documents"] / source["in"]["documents"]),
            megabytes(entry["bytes"]),
        ]
        for name, source in run.funnel.get("sources", {}).items()
        for reason, entry in sorted(source["reasons"].items(), key=lambda item: -item[1]["documents"])
    ]
    return table(["source", "reason", "#documents", "#share of documents", "#text (MB)"], rows)


def lines(run: Run) -> Table:
    """Lines removed, by reason, from documents that were kept and from those that were not."""
    removed = run.funnel.get("total", {}).get("lines", {})
    rows = [
        [reason, count(entry["lines"]), megabytes(entry["bytes"])]
        for reason, entry in sorted(removed.items())
    ]
    return table(["reason", "#lines", "#text (MB)"], rows)


def masked(run: Run) -> Table:
    """Phone numbers and the like that were masked, by source and kind."""
    sources = run.funnel.get("sources", {}).items()
    return table(
        ["source", "kind", "#places"],
        [[name, kind, count(n)] for name, source in sources for kind, n in source.get("masked", {}).items()],
    )


def scripts(run: Run) -> Table:
    """Documents that the rules keep by script, and what simplifying changed, by source."""
    rows = [
        [
            name,
            *(count(source["scripts"].get(script, 0)) for script in SCRIPTS),
            count(source["simplified"]["documents"]),
            count(source["simplified"]["characters"]),
        ]
        for name, source in run.funnel.get("sources", {}).items()
        if source.get("scripts")
    ]
    columns = [*(f"#{script}" for script in SCRIPTS), "#converted", "#characters changed"]
    return table(["source", *columns], rows)


def unreadable(run: Run) -> Table:
    """Files that could not be read, by source."""
    sources = run.funnel.get("sources", {}).items()
    return table(
        ["source", "file", "why"],
        [[name, entry["file"], entry["why"]] for name, source in sources for entry in source["unreadable"]],
    )


def left_out(run: Run) -> Table:
    """Files that were left out on purpose, by source and reason; skipped.json of the sources names them."""
    sources = run.funnel.get("sources", {}).items()
    rows = [
        [name, why, count(files)]
        for name, source in sources
        for why, files in sorted(source.get("left_out", {}).items())
    ]
    return table(["source", "why", "#files"], rows)


def rejects(run: Run) -> Table:
    """The beginning of one dropped document for each reason."""
    rows = [
        [row["reason"], row.get("detail") or "", row["source"], _excerpt(row["text"])] for row in run.rejects
    ]
    return table(["reason", "because of", "source", "beginning"], rows)


def largest_groups(run: Run) -> Table:
    """The documents that the most others were dropped for as duplicates, and the sources of those."""
    rows = [
        [
            group["source"],
            group["id"],
            count(group["exact"]),
            count(group["near"]),
            ", ".join(f"{source} {copies:,}" for source, copies in group["sources"].items()),
            _excerpt(group["text"]),
        ]
        for group in run.funnel.get("largest_groups", [])
    ]
    columns = ["source", "document", "#exact copies", "#near copies", "sources of the copies", "beginning"]
    return table(columns, rows)


def task_texts(run: Run) -> Table:
    """Examples of the dev files whose texts stand in the training files too, by task."""
    rows = []
    for artifact in run.artifacts:
        if artifact.manifest.kind == "task" and "shared" in artifact.manifest.counts:
            counts = artifact.manifest.counts
            shared, dev = counts["shared"], counts["dev"]
            rows.append(
                [
                    artifact.subfolder.split("/")[-1],
                    count(dev["examples"]),
                    count(shared["examples"]),
                    count(shared.get("contexts")),
                    count(dev.get("contexts")),
                ]
            )
    columns = ["task", "#dev examples", "#also in train", "#their contexts in train", "#dev contexts"]
    return table(columns, rows)


def records(run: Run) -> Table:
    """Sequences written for training and held out."""
    description = run.records
    if not description:
        return Table()
    columns = ["#training sequences", "#held-out sequences", "#tokens a sequence", "#vocabulary"]
    row = [
        count(sum(description["train"])),
        count(sum(description["heldout"])),
        count(description["sequence_length"]),
        count(description["vocabulary_size"]),
    ]
    return table(columns, [row])


def exports(run: Run) -> Table:
    """Size, difference from the model and latency of every export."""
    columns = [
        "model",
        "format",
        "#size (MB)",
        "#largest relative difference",
        "#allowed",
        "#latency (ms, median)",
    ]
    return table(columns, [_export_row(row) for row in run.exports])


def _export_row(row: dict[str, Any]) -> list[Any]:
    check, latency = row["check"], row["latency"]
    median = latency.get("median_ms")
    return [
        row["model"],
        row["format"],
        megabytes(row["bytes"]),
        _scientific(check.get("max_relative_difference")),
        _scientific(check.get("tolerance")),
        f"{median:.2f}" if median is not None else None,
    ]


def receipts(run: Run) -> Table:
    """What was published where."""
    rows = [
        [row["name"], row["version"], row["destination"], count(len(row["files"]))] for row in run.receipts
    ]
    return table(["model", "version", "destination", "#files"], rows)


def lineage(run: Run) -> Table:
    """Every artifact with its digest and those of its inputs."""
    by_digest = {artifact.digest: artifact.subfolder for artifact in run.artifacts}
    rows = []
    for artifact in run.artifacts:
        inputs = ", ".join(
            f"{role} {by_digest.get(digest, '(elsewhere)')} {digest[:12]}"
            for role, digest in sorted(artifact.manifest.inputs.items())
        )
        rows.append(
            [
                artifact.subfolder,
                artifact.manifest.kind,
                artifact.digest[:12],
                megabytes(artifact.size),
                inputs,
            ]
        )
    return table(["artifact", "kind", "digest", "#size (MB)", "made from"], rows)


def count(number: float | None) -> str | None:
    """1234567 -> 1,234,567."""
    return None if number is None else f"{int(number):,}"


def megabytes(size: float) -> str:
    """Bytes as MB (10^6) with two decimals."""
    return f"{size / 1e6:,.2f}"


def share(value: float | str | None) -> str | None:
    """A share in 0..1 with three decimals; text from a table is read as a number."""
    return None if value in (None, "") else f"{float(value):.3f}"  # type: ignore[arg-type]


def decimal(value: float | None) -> str | None:
    """A number with three decimals."""
    return None if value is None else f"{value:.3f}"


def _scientific(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= EXCERPT else f"{flat[:EXCERPT]}…"
