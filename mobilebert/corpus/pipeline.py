"""The stages of cleaning: sources -> cleaned blocks -> keys by partition -> pairs -> those alike -> corpus.

The order of the output and every file's bytes follow from the numbers of the elements, so they are the same
for any number of workers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mobilebert.corpus import (
    against,
    cleaning,
    decontamination,
    duplicates,
    file_report,
    funnel,
    plan,
    writing,
)
from mobilebert.corpus.dedup import (
    block_store,
    kept_keys,
    near_duplicates,
    other_corpora,
    paragraphs,
    verdicts,
)
from mobilebert.corpus.sources import discovery
from mobilebert.dataflow import running, workdir
from mobilebert.dataflow.stages import Stage
from mobilebert.errors import UserError
from mobilebert.settings import SMALL_WORLD, Beam, Corpus, without_paths
from mobilebert.storage import artifacts, paths

# Bytes of text that cost as much as a byte of this format: parsers of markup run at about 1 MB/s.
_COST = {"html": 4, "warc": 4, "mediawiki": 8, "markdown": 2, "rst": 20, "parquet": 2}
_COST_COMPRESSED = 3  # text shrinks to a third or less
_VERSIONS = (
    "pyarrow",
    "xxhash",
    "numpy",
    "opencc",
    "trafilatura",
    "markdown-it-py",
    "mwparserfromhell",
    "docutils",
    "warcio",
)
_EXAMPLES_AT_ONCE = 64  # rejected documents
_EXAMPLE_CHARACTERS = 400
DIRECT = Beam()


def clean_corpus(
    sources: Path,
    out: Path,
    settings: Corpus,
    threads: int,
    where: Beam = DIRECT,
    test_world: Path | None = None,
) -> None:
    """Make the `corpus` artifact from a `sources` artifact.

    Args:
        sources: the folder with sources.json.
        out: the artifact; what is between the stages lies in a work folder (`dataflow.workdir`), by which a
            killed run is gone on with.
        threads: worker processes at most, if the work is done here; as many as the input is worth.
        where: which runner, and where the work folder lies.
        test_world: the small world, where `corpus.decontaminate` names it.

    Raises:
        UserError: a test file or another corpus is missing, a source has no document, no document is left, or
            a file cannot be read and `corpus.on_error` is `stop`.
    """
    if settings.from_:
        raise UserError(
            f"corpus.from: {settings.from_} holds cleaned documents, so there is nothing to clean; leave "
            f"it empty to clean sources"
        )
    if not all(map(paths.is_local, settings.against)):
        paths.use(where.pipeline_options)
    against.require(settings.against, settings.near_duplicates)
    entries, skipped = plan.read_sources(sources)
    broken = next((entry for entry in skipped if entry["unreadable"]), None)
    if broken and settings.on_error == "stop":
        raise cleaning.stopped(broken["path"], broken["why"])
    workers = running.count_workers(threads, sum(_cost(entry) for entry in entries))
    tests = decontamination.files(settings.decontaminate, test_world)
    own_names = [name for name in settings.decontaminate if name != SMALL_WORLD]
    shown = without_paths({"corpus": settings.model_dump(mode="json", by_alias=True)})
    own_files = decontamination.digests(decontamination.files(own_names, None))
    own = sorted({file["sha256"] for file in own_files})
    shaping = shown | {"files": own}
    inputs: dict[str, Path | str] = {"sources": sources}
    inputs |= {"test_world": test_world} if test_world else {}
    inputs |= {f"against_{number}": other for number, other in enumerate(settings.against)}
    mark = workdir.fingerprint(shaping | {"tests": decontamination.digests(tests)}, inputs, _VERSIONS)
    with workdir.folder(out, where, mark) as folder:
        elements = plan.elements(entries, int(settings.block_megabytes * 1e6))
        logging.info(
            "cleaning %d files (%.1f MB) in %d blocks", len(entries), _total(entries) / 1e6, len(elements)
        )
        for other in settings.against:
            logging.info("against %s, whose manifest is %.12s", other, artifacts.digest(other))
        if tests:
            decontamination.write(tests, folder)
        others = [_upload_corpus(other, number, folder) for number, other in enumerate(settings.against)]
        job = cleaning.CleaningContext(
            settings.model_copy(update={"against": others}), folder, int(settings.block_megabytes * 1e6)
        )
        running.run("clean-corpus", stages(_upload_inputs(elements, folder), job), folder, where, workers)
        collected = writing.collect(
            folder,
            writing.shard_count(len(elements)),
            sorted({entry["source"] for entry in entries}),
            settings.rejects_per_reason,
        )
        files = writing.collect_files(folder, writing.shard_count(len(elements)))
        by_file = file_report.rows(entries, skipped, files)
        _write(out, inputs, shaping, collected, kept_keys.files(folder), skipped, by_file)


def _upload_inputs(elements: list[plan.Element], folder: str) -> list[plan.Element]:
    """The elements with files that all workers see: local ones are copied beside a work folder that is
    elsewhere.
    """
    if paths.is_local(folder):
        return elements
    sent: dict[str, str] = {}
    paths.make_folder(paths.join(folder, "sources"))
    for path in sorted(
        {
            file_range.path
            for element in elements
            for file_range in element.ranges
            if paths.is_local(file_range.path)
        }
    ):
        # The ending tells the compression.
        sent[path] = paths.join(folder, "sources", f"{len(sent):06d}{Path(path).suffix}")
        paths.send(Path(path), sent[path])
    return [
        replace(
            element,
            ranges=tuple(
                replace(file_range, path=sent.get(file_range.path, file_range.path))
                for file_range in element.ranges
            ),
        )
        for element in elements
    ]


def _upload_corpus(corpus: str, number: int, folder: str) -> str:
    """Another corpus where all workers see it, like `_upload_inputs`."""
    if paths.is_local(folder) or not paths.is_local(corpus):
        return str(Path(corpus).absolute()) if paths.is_local(corpus) else corpus
    return paths.send_folder(Path(corpus), paths.join(folder, f"against-{number}"))


def stages(elements: Sequence[plan.Element], context: cleaning.CleaningContext) -> list[Stage]:
    """The stages from the elements of the sources to the shards of the corpus."""
    folder, count = context.folder, len(elements)  # the elements themselves travel with one function only
    shard_count = writing.shard_count(count)

    def partitions(_: list[int]) -> Iterable[int]:
        return range(block_store.Blocks(folder).partitions)

    def batches(cleaned: list[tuple[int, list[int]]]) -> Iterable[int]:
        block_store.write_blocks(folder, cleaned, context.block_bytes)
        return range(block_store.Blocks(folder).batches)

    def decided_batches(_: list[int]) -> Iterable[int]:
        verdicts.decide(context)
        return range(block_store.Blocks(folder).batches)

    def shards(_: list[int]) -> Iterable[int]:
        verdicts.decide(context)
        return range(shard_count)

    def written_partitions(_: list[int]) -> Iterable[int]:
        kept_keys.write_rows(writing.stays_files(folder, shard_count), context)
        return partitions([])

    made = [
        Stage(
            "Clean", lambda _: range(count), lambda number: cleaning.clean_element(elements[number], context)
        ),
        Stage("Gather", batches, lambda batch: near_duplicates.gather(batch, context)),
        Stage("Candidates", partitions, lambda partition: near_duplicates.candidates(partition, context)),
        Stage("Confirm", partitions, lambda group: near_duplicates.confirm(group, context)),
    ]
    if context.settings.against:
        made += [
            Stage("MeetOthers", partitions, lambda partition: other_corpora.meet(partition, context)),
            Stage("CompareOthers", partitions, lambda group: other_corpora.compare(group, context)),
        ]
    if context.settings.max_paragraph_documents is not None:
        made += [
            Stage("CountParagraphs", decided_batches, lambda batch: paragraphs.count(batch, context)),
            Stage(
                "ShareParagraphs",
                lambda _: range(paragraphs.partitions(context)),
                lambda partition: paragraphs.share(partition, context),
            ),
        ]
    return [
        *made,
        Stage("Write", shards, lambda shard: writing.write_shard(shard, count, context)),
        Stage("KeepKeys", written_partitions, lambda partition: kept_keys.keep(partition, context)),
    ]


def _write(
    out: Path,
    inputs: dict[str, Path | str],
    settings: dict[str, Any],
    collected: writing.Collected,
    keys: list[str],
    skipped: list[dict[str, Any]],
    by_file: list[file_report.FileRow],
) -> None:
    """The artifact from what the shards left, after a look at whether there is anything in it."""
    counts, rejects = collected.counts, collected.rejects
    for entry in skipped:
        funnel.leave_out(
            counts.setdefault(entry["source"], funnel.new()), entry["path"], entry["why"], entry["unreadable"]
        )
    report = funnel.report(counts)
    file_report.warn(by_file)
    _check(report)
    page = file_report.page(report["sources"], settings["corpus"]["rejects_per_reason"])
    with artifacts.writing(out, "corpus", settings=settings, inputs=inputs, versions=_VERSIONS) as writer:
        for name, files in (
            ("", collected.documents),
            ("duplicates", collected.duplicates),
            (against.KEYS_FOLDER, keys),
        ):
            for number, path in enumerate(files):
                paths.take(path, writer.path(name, f"part-{number:05d}.parquet"))
        if isinstance(rejects, list):
            for number, path in enumerate(rejects):
                paths.take(path, writer.path("rejects", f"part-{number:05d}.parquet"))
        elif rejects.num_rows:
            pq.write_table(rejects, writer.path("rejects", "part-00000.parquet"), compression="zstd")
        report["largest_groups"] = duplicates.with_sources(collected.groups, writer.folder / "duplicates")
        report["examples"] = _examples(writer.folder / "rejects", set(report["total"]["reasons"]))
        text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        writer.path("funnel.json").write_text(text, encoding="utf-8")
        writer.path(file_report.TABLE).write_text(file_report.table(by_file), encoding="utf-8")
        writer.path(file_report.PAGE).write_text(page, encoding="utf-8")
        writer.counts.update(report["total"]["out"])
    logging.info(
        "%d documents (%.1f MB) kept of %d",
        report["total"]["out"]["documents"],
        report["total"]["out"]["bytes"] / 1e6,
        _documents_read(report["total"]),
    )
    logging.info("what was dropped, also in %s:\n\n%s", out / file_report.PAGE, page)


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
        logging.info(
            "source %s: %d documents, %d kept; dropped: %s",
            name,
            _documents_read(counts),
            counts["out"]["documents"],
            _reasons(counts),
        )
        if counts["replaced"]["documents"]:
            logging.info(
                "source %s: %d characters in %d documents could not be read (U+FFFD)",
                name,
                counts["replaced"]["characters"],
                counts["replaced"]["documents"],
            )
        if not counts["in"]["documents"]:
            unreadable = "".join(f"\n  {entry['file']}: {entry['why']}" for entry in counts["unreadable"][:5])
            raise UserError(
                f"sources: {name} has no document at all in its files; check its path and format{unreadable}"
            )
        if not counts["out"]["documents"]:
            logging.warning("source %s: nothing of it is left", name)
    if not report["total"]["out"]["documents"]:
        raise UserError(
            f"corpus: nothing is left of {_documents_read(report['total'])} documents (dropped: "
            f"{_reasons(report['total'])}); "
            "check the sources and corpus.against, or loosen the rule that drops most"
        )


def _reasons(counts: dict[str, Any]) -> str:
    return funnel.lines_of(counts["reasons"].items())


def _documents_read(counts: dict[str, Any]) -> int:
    return counts["in"]["documents"]


def _cost(entry: dict[str, Any]) -> int:
    return _text(entry) * _COST.get(entry["format"], 1)


def _text(entry: dict[str, Any]) -> int:
    """About how many bytes of text a file holds."""
    compressed = Path(entry["path"]).suffix.lower() in discovery.COMPRESSED
    return entry["size"] * (_COST_COMPRESSED if compressed else 1)


def _total(entries: Iterable[dict[str, Any]]) -> int:
    return sum(entry["size"] for entry in entries)
