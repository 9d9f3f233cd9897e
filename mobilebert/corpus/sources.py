"""Which files are the raw text: each source of the settings resolved into files, with size, digest and format."""

from __future__ import annotations

import glob
import json
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mobilebert import artifacts
from mobilebert.corpus.opening import COMPRESSED
from mobilebert.errors import UserError
from mobilebert.settings import SMALL_WORLD, Source

FORMATS = {
    **dict.fromkeys((".txt", ".text"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    ".xml": "mediawiki",
}


class _Listed(NamedTuple):
    files: list[str]
    skipped: list[tuple[str, str]]  # path, why


def list_sources(sources: Sequence[Source], out: Path, world: Path | None, downloads: Sequence[Path]) -> None:
    """Write the `sources` artefact: sources.json (a file an entry, by source and path) and skipped.json ({"source", "path", "why"}).

    Args:
        world: the small world, for a source `from: small_world`.
        downloads: folders of fetched sources, each named like its source.

    Raises:
        UserError: a source names nothing that is there, or a file of unknown format.
    """
    entries: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for source in sources:
        listed = _listed(source, world, downloads)
        skipped += [{"source": source.name, "path": path, "why": why} for path, why in listed.skipped]
        found = [_entry(source, path, format) for path in listed.files if (format := _format(source, path)) is not None]
        left_out = Counter(Path(path).suffix or "no suffix" for path in listed.files if _format(source, path) is None)
        if left_out:
            kinds = ", ".join(f"{suffix} {count}" for suffix, count in left_out.most_common(10))
            logging.info("source %s: left out %d files whose names tell no format (%s)", source.name, left_out.total(), kinds)
        if not found:
            named = "".join(f"\n  {path}: {why}" for path, why in listed.skipped[:5])
            raise UserError(
                f"sources: nothing to read for {source.name} at {source.from_} (format: {source.format}); {_hint(listed)}{named}"
            )
        entries += found
    for entry in skipped:
        logging.warning("source %s: skipped %s: %s", entry["source"], entry["path"], entry["why"])
    entries.sort(key=lambda entry: (entry["source"], entry["path"]))
    licences = {source.name: source.licence for source in sources}
    with artifacts.writing(out, "sources", settings={"licences": licences}) as writer:
        for name, body in (
            ("sources.json", entries),
            ("skipped.json", sorted(skipped, key=lambda entry: (entry["source"], entry["path"]))),
        ):
            writer.path(name).write_text(json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        writer.counts.update(files=len(entries), bytes=sum(entry["size"] for entry in entries), skipped=len(skipped))
    logging.info("%d files, %.1f MB in %d sources", len(entries), sum(entry["size"] for entry in entries) / 1e6, len(sources))


def known_format(path: str) -> str | None:
    """The format that a file's name tells, under .gz, .bz2, .xz or .zst too; None if it tells none."""
    name = Path(path.lower())
    if name.suffix in COMPRESSED:
        name = name.with_suffix("")
    return FORMATS.get(name.suffix)


def _listed(source: Source, world: Path | None, downloads: Sequence[Path]) -> _Listed:
    place = source.from_
    if place == SMALL_WORLD:
        if world is None:
            raise UserError(f"sources: {source.name} is the small world, and its folder was not given (--world)")
        return _Listed(sorted(str(path) for path in (world / "documents").glob("*.jsonl")), [])
    if place.startswith(("https://", "http://")):
        folder = next((folder for folder in downloads if folder.name == source.name), None)
        if folder is None:
            raise UserError(f"sources: {source.name} is an address, and its download was not given (--downloads .../{source.name})")
        # Not all that lies there: Snakemake leaves a marker file of its own in every folder.
        return _Listed(sorted(str(folder / name) for name in artifacts.read(folder, "download").files), [])
    if "://" in place:
        raise UserError(f"sources: {source.name} is at {place}; a file, folder, glob, https:// address or {SMALL_WORLD} is expected")
    if os.path.isdir(place):
        return _sorted(_below(place, os.path.realpath(place), {os.path.realpath(place)}))
    if os.path.lexists(place):
        return _sorted([_judged(place)])
    return _sorted(_judged(path) for path in glob.glob(place, recursive=True) if not os.path.isdir(path))


def _below(folder: str, real: str, above: set[str]) -> Iterator[tuple[str, str | None]]:
    """Files below a folder with why they are skipped, if so; hidden ones left out, links followed but never in a circle."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield folder, error.strerror or str(error)
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith("."):
            continue
        if os.path.isdir(path):
            target = os.path.realpath(path)
            if target in above:
                yield path, "a link to a folder above itself"
            else:
                yield from _below(path, target, above | {target})
        else:
            yield _judged(path)


def _judged(path: str) -> tuple[str, str | None]:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return path, error.strerror or str(error)
    if not stat.S_ISREG(mode):
        return path, "not a regular file"
    if not os.access(path, os.R_OK):
        return path, "no permission to read it"
    return path, None


def _sorted(found: Any) -> _Listed:
    listed = _Listed([], [])
    for path, why in sorted(found):
        try:
            path.encode()
        except UnicodeEncodeError:
            why = "its name is not valid UTF-8"
            path = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if why is None:
            listed.files.append(path)
        else:
            listed.skipped.append((path, why))
    return listed


def _format(source: Source, path: str) -> str | None:
    """The format of a file; None for a file of a folder or glob whose name does not tell, which is left out."""
    if source.format != "auto":
        return source.format
    format = "jsonl" if source.from_ == SMALL_WORLD else known_format(path)
    if format is None and (path == source.from_ or "://" in source.from_):
        raise UserError(f"sources: {source.name}: the name of {path} does not tell its format; set format (text, lines, jsonl, html, ...)")
    return format


def _entry(source: Source, path: str, format: str) -> dict[str, Any]:
    return {
        "source": source.name,
        "path": path,
        "format": format,
        "text_field": source.text_field,
        "text_format": source.text_format,
        "size": os.stat(path).st_size,
        "sha256": artifacts.sha256(path),
        "licence": source.licence,
    }


def _hint(listed: _Listed) -> str:
    if listed.files:
        return f"the names of its {len(listed.files)} files do not tell their format, so set format"
    return "check the path" if not listed.skipped else "all that is there was skipped"
