"""Which files are the raw text: each source of the settings resolved into files, with size, digest and
format.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mobilebert.corpus.sources import discovery
from mobilebert.corpus.sources.detect_format import Recognised, has_remedy, recognise, refused
from mobilebert.corpus.sources.discovery import Listed, Skipped
from mobilebert.errors import UserError
from mobilebert.settings import SMALL_WORLD, Source
from mobilebert.storage import artifacts, download

_NAMED = 5  # files named in a message
_MOST_REMEDIES = 12  # kinds of files that can be made readable, each a warning


def list_sources(sources: Sequence[Source], out: Path, world: Path | None, downloads: Sequence[Path]) -> None:
    """Write the `sources` artifact.

    sources.json is a file an entry, by source and path; skipped.json names all other files: {"source",
    "name", "path", "why", "unreadable"}, where `unreadable` tells what is broken from what is left out on
    purpose.

    Args:
        world: the small world, for a source `from: small_world`.
        downloads: folders of fetched sources, each named like its source.

    Raises:
        UserError: a source names nothing that can be read.
    """
    entries: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for source in sources:
        listed, base = _listed(source, world, downloads)
        left = list(listed.skipped)
        readable = list(_entries(source, listed.files, base, left))
        if not readable:
            raise UserError(
                f"sources: nothing to read for {source.name} at {source.from_} (format: {source.format}); "
                f"{_hint(left)}"
            )
        _tell(source, left)
        entries += readable
        skipped += [
            {"source": source.name, "name": named(each.path, base), **each._asdict()} for each in left
        ]
    entries.sort(key=lambda entry: (entry["source"], entry["path"]))
    skipped.sort(key=lambda entry: (entry["source"], entry["path"]))
    settings = {
        "sources": [download.shown(source) for source in sources],
        "listing": listing(local_files(sources)),
    }
    inputs = {"world": world} if world else {}
    with artifacts.writing(
        out,
        "sources",
        settings=settings,
        inputs=inputs | {f"downloads/{folder.name}": folder for folder in downloads},
    ) as writer:
        writer.json("sources.json", entries)
        writer.json("skipped.json", skipped)
        writer.counts.update(
            files=len(entries), bytes=sum(entry["size"] for entry in entries), skipped=len(skipped)
        )
    logging.info(
        "%d files, %.1f MB in %d sources",
        len(entries),
        sum(entry["size"] for entry in entries) / 1e6,
        len(sources),
    )


def local_files(sources: Iterable[Source]) -> list[str]:
    """The user's own files, those whose change changes the list; files of other formats among them are
    left out when it is made.
    """
    local = [
        source
        for source in sources
        if source.from_ != SMALL_WORLD and not source.from_.startswith(discovery.REMOTE)
    ]
    return [file for source in local for file in discovery.tracked(source.from_, source.format)]


def listing(files: Iterable[str]) -> str:
    """SHA-256 over names and sizes: tells quickly whether a file came, went or grew."""
    lines = sorted(
        f"{os.path.basename(path)}\t{os.stat(path).st_size}\n"
        for path in set(map(str, files))
        if os.path.isfile(path)
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _listed(source: Source, world: Path | None, downloads: Sequence[Path]) -> tuple[Listed, str]:
    """The files of a source, and the folder that they are named relative to."""
    location = source.from_
    if location == SMALL_WORLD:
        if world is None:
            raise UserError(
                f"sources: {source.name} is the small world, and its folder was not given (--world)"
            )
        folder = world / "documents"
        return Listed(sorted(str(path) for path in folder.glob("*.jsonl")), []), str(folder)
    if location.startswith(discovery.REMOTE):
        fetched = next((folder for folder in downloads if folder.name == source.name), None)
        if fetched is None:
            raise UserError(
                f"sources: {source.name} is an address, and its download was not given (--downloads "
                f".../{source.name})"
            )
        # Not all that lies there: Snakemake leaves a marker file of its own in every folder.
        names = artifacts.read(fetched, "download").files
        return Listed(sorted(str(fetched / name) for name in names), []), str(fetched)
    if "://" in location:
        raise UserError(
            f"sources: {source.name} is at {location}; a file, folder, glob, https:// or gs:// address or "
            f"{SMALL_WORLD} is expected"
        )
    return discovery.find(location), discovery.base(location)


def _entries(
    source: Source, files: Iterable[str], base: str, left: list[Skipped]
) -> Iterator[dict[str, Any]]:
    """The entries of the files that can be read; the others are added to `left`."""
    for path in files:
        try:
            if not os.stat(path).st_size:
                left.append(Skipped(path, "empty", False))
                continue
            detected = _format(source, path)
            if detected.format is None:
                left.append(Skipped(path, detected.why, detected.unreadable))
            else:
                yield _entry(source, path, base, detected.format)
        except OSError as error:
            left.append(Skipped(path, error.strerror or str(error)))


def _format(source: Source, path: str) -> Recognised:
    if source.from_ == SMALL_WORLD:
        return Recognised("jsonl")
    if source.format != "auto":
        return refused(path) or Recognised(source.format)
    return recognise(path, source.text_field)


def _entry(source: Source, path: str, base: str, format: str) -> dict[str, Any]:
    return {
        "source": source.name,
        "path": path,
        "name": named(path, base),
        "format": format,
        "text_field": source.text_field,
        "text_format": source.text_format,
        "size": os.stat(path).st_size,
        "sha256": artifacts.sha256(path),
        "licence": source.licence,
    }


def named(path: str, base: str) -> str:
    """The name of a file in its source, which its documents are named by: its path from `base`, in characters
    that can be printed.
    """
    name = Path(os.path.relpath(path, base or ".")).as_posix()
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in name
    )


def _tell(source: Source, left: Sequence[Skipped]) -> None:
    for each in left:
        if each.unreadable:
            logging.warning("source %s: cannot read %s: %s", source.name, each.path, each.why)
    counts = Counter(each.why for each in left if not each.unreadable)
    for why in list(filter(has_remedy, counts))[:_MOST_REMEDIES]:
        first = next(os.path.basename(each.path) for each in left if each.why == why)
        rest = counts.pop(why) - 1
        logging.warning("source %s: %s%s: %s", source.name, first, f" and {rest} more" if rest else "", why)
    if counts:
        logging.info(
            "source %s: left out %d files (skipped.json names them): %s",
            source.name,
            counts.total(),
            _most_common(counts),
        )


def _hint(left: Sequence[Skipped]) -> str:
    if not left:
        return "check the path"
    named = "".join(f"\n  {each.path}: {each.why}" for each in left[:_NAMED])
    counts = Counter(each.why for each in left)
    remedy = (
        "set text_field"
        if any("without a field" in why for why in counts)
        else "if they are text, set format"
    )
    return f"all {len(left)} files there were left out ({_most_common(counts)}); {remedy}{named}"


def _most_common(counts: Counter[str]) -> str:
    return ", ".join(f"{why} {count}" for why, count in counts.most_common(10))
