"""The Beam pipeline: sources -> cleaned blocks -> their keys by partition -> pairs -> those alike -> documents.

Only numbers of elements and partitions pass through Beam; text, keys and pairs lie in files of the work folder. The order of the
output and every file's bytes follow from the numbers of the elements, so they are the same for any number of workers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq

from mobilebert.corpus import clean, decontamination, duplicates, finding, funnel, minhash, output, paragraphs, plan, store
from mobilebert.errors import UserError
from mobilebert.pipelines import running, work
from mobilebert.settings import SMALL_WORLD, Beam, Corpus
from mobilebert.storage import artifacts
from mobilebert.storage import paths as places
from mobilebert.text import document, filters
from mobilebert.text.normalise import normalise

# Bytes of text that cost as much as a byte of this format: parsers of markup run at about 1 MB/s.
_COST = {"html": 4, "warc": 4, "mediawiki": 8, "markdown": 2, "rst": 20, "parquet": 2}
_COST_COMPRESSED = 3  # text shrinks to a third or less
_VERSIONS = ("pyarrow", "xxhash", "numpy", "opencc", "trafilatura", "markdown-it-py", "mwparserfromhell", "docutils", "warcio")
_STOP = "stop.txt"
_EXAMPLES_AT_ONCE = 64  # rejected documents
_EXAMPLE_CHARACTERS = 400
DIRECT = Beam()


def clean_corpus(sources: Path, out: Path, settings: Corpus, threads: int, where: Beam = DIRECT, test_world: Path | None = None) -> None:
    """Make the `corpus` artefact from a `sources` artefact.

    Args:
        sources: the folder with sources.json.
        out: the artefact; what is between the stages lies in a work folder (`pipelines.work`), by which a killed run is gone on with.
        threads: worker processes at most, if the work is done here; as many as the input is worth.
        where: which runner, and where the work folder lies.
        test_world: the small world, where `corpus.decontaminate` names it.

    Raises:
        UserError: a test file is missing, a source has no document, no document is left, or a file cannot be read and `corpus.on_error` is
            `stop`.
    """
    if settings.from_:
        raise UserError(
            f"corpus.from: {settings.from_} holds cleaned documents, so there is nothing to clean; leave it empty to clean sources"
        )
    entries, skipped = plan.read_sources(sources)
    broken = next((entry for entry in skipped if entry["unreadable"]), None)
    if broken and settings.on_error == "stop":
        raise clean.stopped(broken["path"], broken["why"])
    workers = running.workers(threads, sum(_cost(entry) for entry in entries))
    tests = decontamination.files(settings.decontaminate, test_world)
    own_names = [name for name in settings.decontaminate if name != SMALL_WORLD]
    corpus = decontamination.without_paths(settings.model_dump(mode="json", by_alias=True))
    own = sorted(digest["sha256"] for digest in decontamination.digests(decontamination.files(own_names, None)))
    shaping = {"corpus": corpus, "files": own}
    inputs = {"sources": sources} | ({"test_world": test_world} if test_world else {})
    mark = work.fingerprint(shaping | {"tests": decontamination.digests(tests)}, inputs, _VERSIONS)
    with running.ready(__name__, where, workers), work.folder(out, where, mark) as folder:
        elements = plan.elements(entries, int(settings.block_megabytes * 1e6))
        logging.info("cleaning %d files (%.1f MB) in %d blocks", len(entries), _total(entries) / 1e6, len(elements))
        if tests:
            decontamination.write(tests, folder)
        job = clean.Work(settings, folder, int(settings.block_megabytes * 1e6))
        _run(_within_reach(elements, folder), job, where, workers)
        found = output.collect(
            folder, output.parts(len(elements)), sorted({entry["source"] for entry in entries}), settings.rejects_per_reason
        )
        _write(out, inputs, shaping, found, skipped)


def _within_reach(elements: list[plan.Element], folder: str) -> list[plan.Element]:
    """The elements with files that all workers see: local ones are copied beside a work folder that is elsewhere."""
    if places.is_local(folder):
        return elements
    sent: dict[str, str] = {}
    places.make_folder(places.join(folder, "sources"))
    for path in sorted({piece.path for element in elements for piece in element.pieces if places.is_local(piece.path)}):
        # The ending tells the compression.
        sent[path] = places.join(folder, "sources", f"{len(sent):06d}{Path(path).suffix}")
        places.send(Path(path), sent[path])
    return [
        replace(element, pieces=tuple(replace(piece, path=sent.get(piece.path, piece.path)) for piece in element.pieces))
        for element in elements
    ]


def _run(elements: Sequence[plan.Element], job: clean.Work, where: Beam, workers: int) -> None:
    stop = places.join(job.folder, _STOP)
    try:
        running.run("clean-corpus", partial(build, elements=elements, work=job), where, workers)
    except Exception:
        if places.exists(stop):
            raise UserError(places.read(stop).decode()) from None
        raise


def warm() -> None:
    """Compute the tables of characters, which each worker would otherwise compute: a quarter of a second."""
    filters.judge(document.Documents([normalise("表")]), Corpus())
    minhash.band_keys(["表"])


def build(pipeline: beam.Pipeline, elements: Sequence[plan.Element], work: clean.Work) -> None:
    """Put the stages on a pipeline (any runner whose workers see the work folder and the sources)."""
    step = partial(partial, work=work)
    numbered = pipeline | "Elements" >> beam.Create(enumerate(elements), reshuffle=False)
    cleaned = _each(numbered, "Clean", step(_clean))
    gathered = _each(_then(cleaned, "Batches", step(_batches)), "Gather", step(duplicates.gather))
    paired = _each(_then(gathered, "Partitions", step(_partitions)), "Candidates", step(duplicates.candidates))
    compared = _each(_then(paired, "Groups", step(_partitions)), "Confirm", step(duplicates.confirm))
    if work.settings.max_paragraph_documents is not None:
        counted = _each(_then(compared, "Texts", step(_texts)), "Count paragraphs", step(paragraphs.count))
        compared = _each(_then(counted, "Paragraphs", step(_paragraphs)), "Share paragraphs", step(paragraphs.share))
    parts = _then(compared, "Parts", step(partial(_parts, elements=len(elements))))
    _each(parts, "Write", step(partial(output.write_part, elements=len(elements))))


def _each(numbered: beam.PCollection, name: str, do: Callable[[Any], Any]) -> beam.PCollection:
    """What `do` makes of each numbered thing, spread over the workers by the numbers; under the one key 0, for `_then`.

    A `Reshuffle` is four more steps, and every worker takes 5 ms to set up a step (measured).
    """
    return numbered | f"Spread for {name}" >> beam.GroupByKey() | name >> beam.MapTuple(partial(_alone, do=do))


def _alone(_: int, things: Iterable[Any], do: Callable[[Any], Any]) -> tuple[int, Any]:
    (thing,) = things
    return 0, do(thing)


def _then(done: beam.PCollection, name: str, following: Callable[[list[Any]], Iterable[int]]) -> beam.PCollection:
    """The numbers that follow from all of a collection, once all of it is there."""
    return done | f"Wait for {name}" >> beam.GroupByKey() | name >> beam.FlatMapTuple(partial(_follow, following=following))


def _follow(_: int, done: Iterable[Any], following: Callable[[list[Any]], Iterable[int]]) -> Iterator[tuple[int, int]]:
    yield from ((number, number) for number in following(list(done)))


def _batches(cleaned: list[tuple[int, list[int]]], work: clean.Work) -> Iterable[int]:
    store.write_blocks(work.folder, cleaned, work.block_bytes)
    return range(store.Blocks(work.folder).batches)


def _partitions(_: list[int], work: clean.Work) -> Iterable[int]:
    return range(store.Blocks(work.folder).partitions)


def _texts(_: list[int], work: clean.Work) -> Iterable[int]:
    duplicates.decide(work)
    return range(store.Blocks(work.folder).batches)


def _paragraphs(_: list[int], work: clean.Work) -> Iterable[int]:
    return range(paragraphs.partitions(work))


def _parts(_: list[int], elements: int, work: clean.Work) -> Iterable[int]:
    duplicates.decide(work)
    return range(output.parts(elements))


def _clean(element: plan.Element, work: clean.Work) -> tuple[int, list[int]]:
    try:
        return clean.clean_element(element, work)
    except UserError as error:
        # Beam wraps what a worker raises into its own exception; the message reaches people through a file.
        places.write(places.join(work.folder, _STOP), str(error).encode())
        raise


def _write(out: Path, inputs: dict[str, Path], settings: dict[str, Any], found: output.Collected, skipped: list[dict[str, Any]]) -> None:
    """The artefact from what the parts left, after a look at whether there is anything in it."""
    counts, parts, rejects = found
    for entry in skipped:
        funnel.leave_out(counts.setdefault(entry["source"], funnel.new()), entry["path"], entry["why"], entry["unreadable"])
    report = funnel.report(counts)
    _check(report)
    with artifacts.writing(out, "corpus", settings=settings, inputs=inputs, versions=_VERSIONS) as writer:
        for number, path in enumerate(parts):
            places.take(path, writer.path(f"part-{number:05d}.parquet"))
        if isinstance(rejects, list):
            for number, path in enumerate(rejects):
                places.take(path, writer.path("rejects", f"part-{number:05d}.parquet"))
        elif rejects.num_rows:
            pq.write_table(rejects, writer.path("rejects", "part-00000.parquet"), compression="zstd")
        report["examples"] = _examples(writer.folder / "rejects", set(report["total"]["reasons"]))
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        writer.path("funnel.json").write_text(text, encoding="utf-8")
        writer.counts.update(report["total"]["out"])
    logging.info(
        "%d documents (%.1f MB) kept of %d",
        report["total"]["out"]["documents"],
        report["total"]["out"]["bytes"] / 1e6,
        _read(report["total"]),
    )


def _examples(rejects: Path, reasons: set[str]) -> list[dict[str, Any]]:
    """The beginning of one rejected document for each reason, for the report."""
    examples: dict[str, dict[str, Any]] = {}
    for path in sorted(rejects.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(_EXAMPLES_AT_ONCE):
            for row in batch.to_pylist():
                examples.setdefault(row["reason"], row | {"text": row["text"][:_EXAMPLE_CHARACTERS]})
            if reasons <= examples.keys():
                break
    return [examples[reason] for reason in sorted(examples)]


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
    return _text(entry) * _COST.get(entry["format"], 1)


def _text(entry: dict[str, Any]) -> int:
    """About how many bytes of text a file holds."""
    compressed = Path(entry["path"]).suffix.lower() in finding.COMPRESSED
    return entry["size"] * (_COST_COMPRESSED if compressed else 1)


def _total(entries: Iterable[dict[str, Any]]) -> int:
    return sum(entry["size"] for entry in entries)
