"""The report: one HTML file with everything that a run made, no other file needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
import yaml

from mobilebert.reporting import plots, tables
from mobilebert.reporting.collect import Run
from mobilebert.reporting.tables import Table

# Figures on held-out data besides the loss, and what they are
HELD_OUT = {
    "masked_accuracy": "masked-token accuracy, held out",
    "accuracy": "accuracy on dev",
    "f1": "F1 on dev",
}


@dataclass(frozen=True)
class Panel:
    """One block of a section: a plot, a table or a text under a title."""

    title: str = ""
    svg: str = ""
    table: Table = field(default_factory=Table)
    text: str = ""

    @property
    def columns(self) -> list[tables.Column]:
        """The table's columns."""
        return self.table.columns

    @property
    def rows(self) -> list[list[str]]:
        """The table's rows."""
        return self.table.rows


@dataclass(frozen=True)
class Section:
    """A headed section of the page."""

    name: str
    title: str
    panels: list[Panel]
    note: str = ""


def render(name: str, run: Run, settings: dict[str, Any]) -> str:
    """The page as HTML text; sections without content are left out.

    Args:
        name: the run's name.
        run: what was collected from the results folder.
        settings: the settings of the run, as plain values.
    """
    results = [_summary(run), _models(run), _scores(run), _corpus(run), _curves(run), _exports(run)]
    sections = [*results, _lineage(run), _settings(settings)]
    shown = [
        section
        for section in sections
        if any(panel.svg or panel.rows or panel.text for panel in section.panels)
    ]
    template = resources.files("mobilebert.reporting").joinpath("page.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(run=name, sections=shown)


def _summary(run: Run) -> Section:
    note = (
        "In brackets what a student is of its teacher. Latency: one sentence in the TFLite export, one "
        "thread of this machine, the fastest run. Accuracy: masked tokens of documents that no training "
        "saw. Tasks: means over the seeds."
    )
    return Section("summary", "What was made", [Panel(table=tables.summary(run))], note)


def _models(run: Run) -> Section:
    evaluated = [
        (model.name, model.heldout["masked_accuracy"])
        for model in run.models
        if "masked_accuracy" in model.heldout
    ]
    unigram = next(
        (model.heldout["unigram_accuracy"] for model in run.models if "unigram_accuracy" in model.heldout),
        None,
    )
    mark = ("most frequent token", unigram) if unigram is not None else None
    chart = plots.bars(evaluated, xlabel="share of masked tokens predicted, held-out text", mark=mark)
    note = (
        "Masked-token accuracy on documents that no training saw, the same masks for all. Every arm of a "
        "student took the same number of "
        "optimizer steps: the distilled one its transfer stages and its pretraining, a baseline as many of "
        "pretraining alone."
    )
    return Section("models", "Language models", [Panel(svg=chart), Panel(table=tables.models(run))], note)


def _scores(run: Run) -> Section:
    note = (
        "Mean over the seeds; the spread is the sample standard deviation. Majority: always the most "
        "frequent answer of the training file."
    )
    panels = [
        Panel(table=tables.scores(run)),
        Panel("Texts of dev that stand in train too", table=tables.task_texts(run)),
    ]
    return Section("scores", "Task scores", [panel for panel in panels if panel.rows], note)


def _corpus(run: Run) -> Section:
    panels = [
        Panel("From raw to kept", table=tables.funnel(run)),
        Panel("Why documents were dropped", table=tables.reasons(run)),
        Panel("Lines removed", table=tables.lines(run)),
        Panel("Script of the documents that the rules keep", table=tables.scripts(run)),
        Panel("Sensitive data masked", table=tables.masked(run)),
        Panel("Files that could not be read", table=tables.unreadable(run)),
        Panel("Files left out", table=tables.left_out(run)),
        Panel("One dropped document for each reason", table=tables.rejects(run)),
        Panel("Largest groups of duplicates", table=tables.largest_groups(run)),
        Panel("Records", table=tables.records(run)),
    ]
    shown = [panel for panel in panels if panel.rows]
    return Section(
        "corpus", "Corpus", shown, "Documents in = documents out + documents dropped, for each source."
    )


def _curves(run: Run) -> Section:
    groups = {
        "Teacher": {
            subfolder: rows
            for subfolder, rows in run.curves.items()
            if subfolder.startswith("teacher_sources/")
        },
        "Knowledge transfer": {
            subfolder: rows for subfolder, rows in run.curves.items() if "/transfer/" in subfolder
        },
        "Pretraining": {
            subfolder: rows for subfolder, rows in run.curves.items() if subfolder.endswith("/pretrained")
        },
        "Finetuning": {
            subfolder: rows for subfolder, rows in run.curves.items() if subfolder.startswith("finetuned/")
        },
    }
    panels = []
    for title, series in groups.items():
        named = {
            subfolder.replace("/transfer/", " ").replace("students/", "").replace("/pretrained", ""): rows
            for subfolder, rows in series.items()
        }
        panels.append(
            Panel(
                title,
                svg=plots.curves(
                    named, "loss", ylabel="loss", dashed="heldout_loss", log=title == "Knowledge transfer"
                ),
            )
        )
        for quantity, label in HELD_OUT.items():
            panels.append(
                Panel(f"{title}: {label}", svg=plots.curves(named, f"heldout_{quantity}", ylabel=label))
            )
    note = "Dashed: the same, measured on held-out data (a task: its dev file) on the way."
    return Section("curves", "Curves", [panel for panel in panels if panel.svg], note)


def _exports(run: Run) -> Section:
    panels = [Panel(table=tables.exports(run)), Panel("Published", table=tables.receipts(run))]
    return Section(
        "exports",
        "Exports",
        [panel for panel in panels if panel.rows],
        "Each export was run and compared with the model it came from.",
    )


def _lineage(run: Run) -> Section:
    note = (
        "The digest of a manifest stands for the whole artifact; inputs are named by theirs, down to "
        "the raw text."
    )
    return Section("lineage", "Lineage", [Panel(table=tables.lineage(run))], note)


def _settings(settings: dict[str, Any]) -> Section:
    return Section(
        "settings", "Settings", [Panel(text=yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))]
    )
