"""The Beam pipeline: sources -> cleaned blocks -> pairs -> groups -> documents.

Only references, counts and pairs of numbers pass through Beam; text and band keys lie in files of the work folder. The order of the
output and every file's bytes follow from the numbers of the elements, so they are the same for any number of workers.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from mobilebert import artifacts
from mobilebert.corpus import clean, duplicates, funnel, output, plan
from mobilebert.errors import UserError
from mobilebert.settings import Corpus

# Worker processes cost 3 to 8 s to start (each imports Beam and us), and multi-threading is slower than one thread. At 8 MB/s a core two
# workers save time from about 50 MB of text on, four from about 80 (reference/performance-data.md section 2: 100 MB took 16.0 s in process,
# 11.9 s in two processes).
PROCESSES_FROM_BYTES = 64_000_000
# Bytes of text that cost as much as a byte of this format: parsers of markup run at about 1 MB/s.
_COST = {"html": 4, "mediawiki": 8, "markdown": 2}
_COST_COMPRESSED = 3  # text shrinks to a third or less
_PARTITION_BYTES = 64_000_000
_VERSIONS = ("pyarrow", "xxhash", "numpy", "scipy", "opencc", "trafilatura", "markdown-it-py", "mwparserfromhell")
_STOP = "stop.txt"


def clean_corpus(sources: Path, out: Path, settings: Corpus, threads: int, *, processes_from_bytes: int = PROCESSES_FROM_BYTES) -> None:
    """Make the `corpus` artefact from a `sources` artefact.

    Args:
        sources: the folder with sources.json.
        out: the artefact; a folder `OUT.work` beside it holds what is between the stages and is removed at the end.
        threads: worker processes, used when the input costs as much as `processes_from_bytes` of text.

    Raises:
        UserError: a source has no document, no document is left, or a file cannot be read and `corpus.on_error` is `stop`.
    """
    if settings.from_:
        raise UserError(
            f"corpus.from: {settings.from_} holds cleaned documents, so there is nothing to clean; leave it empty to clean sources"
        )
    entries, skipped = plan.read_sources(sources)
    cost = sum(_cost(entry) for entry in entries)
    workers = threads if cost >= processes_from_bytes else 1
    elements = plan.elements(entries, int(settings.block_megabytes * 1e6))
    logging.info("cleaning %d files (%.1f MB) in %d blocks with %d workers", len(entries), _total(entries) / 1e6, len(elements), workers)
    work_root = out.parent / f"{out.name}.work"
    shutil.rmtree(work_root, ignore_errors=True)
    work_root.mkdir(parents=True)
    try:
        # A folder of its own for every run: a worker that outlived a killed run writes into a folder that is gone.
        folder = Path(tempfile.mkdtemp(dir=work_root)).resolve()
        work = clean.Work(settings, folder, max(4, -(-_total(entries) // _PARTITION_BYTES)), int(settings.block_megabytes * 1e6))
        _run(elements, work, workers)
        _write(out, sources, settings, folder, sorted({entry["source"] for entry in entries}), skipped)
    finally:
        shutil.rmtree(work_root, ignore_errors=True)


def _run(elements: Sequence[plan.Element], work: clean.Work, workers: int) -> None:
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    options = ["--runner=FnApiRunner", "--job_name=clean-corpus", f"--direct_num_workers={workers}"]
    options.append(f"--direct_running_mode={'multi_processing' if workers > 1 else 'in_memory'}")
    pipeline = beam.Pipeline(options=PipelineOptions(options))
    build(pipeline, elements, work)
    try:
        with _importable():
            pipeline.run().wait_until_finish()
    except Exception:
        stop = work.folder / _STOP
        if stop.exists():
            raise UserError(stop.read_text(encoding="utf-8")) from None
        raise


def build(pipeline: beam.Pipeline, elements: Sequence[plan.Element], work: clean.Work) -> None:
    """Put the stages on a pipeline (any runner whose workers see the work folder and the sources)."""
    step = partial(partial, work=work)
    keys = pipeline | "Elements" >> beam.Create(elements) | "Clean" >> beam.FlatMap(step(_clean))
    pairs = keys | "Partitions" >> beam.GroupByKey() | "Candidates" >> beam.FlatMap(step(duplicates.candidates))
    edges = pairs | "Pairs" >> beam.GroupByKey() | "Confirm" >> beam.FlatMap(step(duplicates.confirm))
    dropped = (
        edges
        | "Edges" >> beam.GroupByKey()
        | "Groups" >> beam.FlatMap(partial(duplicates.drops, elements_per_part=output.ELEMENTS_PER_PART))
    )
    numbers = [(element.number // output.ELEMENTS_PER_PART, element.number) for element in elements]
    parts = pipeline | "Numbers" >> beam.Create(numbers)
    # The join waits for `dropped`, and with it for all blocks, even where nothing is dropped.
    joined = {"elements": parts, "dropped": dropped} | "Join" >> beam.CoGroupByKey()
    _ = joined | "Write" >> beam.Map(step(_write_part))


def _clean(element: plan.Element, work: clean.Work) -> Iterator[tuple[int, tuple[str, int, int]]]:
    try:
        yield from clean.clean_element(element, work)
    except UserError as error:
        # Beam wraps what a worker raises into its own exception; the message reaches people through a file.
        (work.folder / _STOP).write_text(str(error), encoding="utf-8")
        raise


def _write_part(joined: tuple[int, dict[str, Iterable[Any]]], work: clean.Work) -> None:
    part, found = joined
    output.write_part(part, found["elements"], found["dropped"], work)


def _write(out: Path, sources: Path, settings: Corpus, folder: Path, names: list[str], skipped: list[dict[str, str]]) -> None:
    """The artefact from what the parts left, after a look at whether there is anything in it."""
    counts, parts, rejects = output.collect(folder, names, settings.rejects_per_reason)
    for entry in skipped:
        counts.setdefault(entry["source"], funnel.new())["unreadable"].append({"file": entry["path"], "why": entry["why"]})
    report = funnel.report(counts)
    _check(report)
    stage = settings.model_dump(mode="json", by_alias=True, exclude={"from_"})
    with artifacts.writing(out, "corpus", settings=stage, inputs={"sources": sources}, versions=_VERSIONS) as writer:
        for number, path in enumerate(parts):
            shutil.move(path, writer.path(f"part-{number:05d}.parquet"))
        if isinstance(rejects, list):
            for number, path in enumerate(rejects):
                shutil.move(path, writer.path("rejects", f"part-{number:05d}.parquet"))
        elif rejects.num_rows:
            pq.write_table(rejects, writer.path("rejects", "part-00000.parquet"), compression="zstd")
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        writer.path("funnel.json").write_text(text, encoding="utf-8")
        writer.counts.update(report["total"]["out"])
    logging.info(
        "%d documents (%.1f MB) kept of %d",
        report["total"]["out"]["documents"],
        report["total"]["out"]["bytes"] / 1e6,
        _read(report["total"]),
    )


def _check(report: dict[str, Any]) -> None:
    for name, counts in report["sources"].items():
        for entry in counts["unreadable"]:
            logging.warning("source %s: %s cannot be read: %s", name, entry["file"], entry["why"])
        logging.info("source %s: %d documents, %d kept; dropped: %s", name, _read(counts), counts["out"]["documents"], _reasons(counts))
        if not counts["in"]["documents"]:
            unreadable = "".join(f"\n  {entry['file']}: {entry['why']}" for entry in counts["unreadable"][:5])
            raise UserError(f"sources: {name} has no document at all in its files; check its path and format{unreadable}")
        if not counts["out"]["documents"]:
            logging.warning("source %s: nothing of it is left", name)
    if not report["total"]["out"]["documents"]:
        raise UserError(
            f"corpus: nothing is left of {_read(report['total'])} documents (dropped: {_reasons(report['total'])}); "
            "check the format of the sources, or loosen the rule that drops most"
        )


def _reasons(counts: dict[str, Any]) -> str:
    return funnel.lines_of(counts["reasons"].items())


def _read(counts: dict[str, Any]) -> int:
    return counts["in"]["documents"]


def _cost(entry: dict[str, Any]) -> int:
    compressed = Path(entry["path"]).suffix.lower() in plan.opening.COMPRESSED
    return entry["size"] * _COST.get(entry["format"], 1) * (_COST_COMPRESSED if compressed else 1)


def _total(entries: Iterable[dict[str, Any]]) -> int:
    return sum(entry["size"] for entry in entries)


class _importable:
    """Worker processes find this package where we found it, wherever the command was started."""

    def __enter__(self) -> None:
        self._before = os.environ.get("PYTHONPATH")
        root = str(Path(__file__).resolve().parents[2])
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, self._before]))

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = self._before
