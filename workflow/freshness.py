"""When a stage is due: what the manifest of its artifact says, beside what is asked for now.

Snakemake itself compares times only (`rerun-triggers: [mtime]` in every profile), and times say nothing once
results were copied. So planning first makes them say what the manifests say, and every rule has an input
`due` that names a new file where its artifact was made with other settings or from other inputs. Neither
needs `.snakemake`, so results that were moved plan as in their old place.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.exceptions import WorkflowError
from snakemake.io import local

from mobilebert.storage.atomic import replacing
from mobilebert.tokenization.importing import home
from workflow.external_inputs import artifact_manifest, digests, existing
from workflow.paths import MANIFEST, manifest_of

REQUESTS = 16  # at once
MARKERS = ".snakemake/due"
STAMP = ".snakemake_timestamp"  # where Snakemake keeps the time of a folder that it made

Paths = Callable[[Any], list[str]] | list[str]  # what a rule's input is, or a function of its wildcards


class Recorded(NamedTuple):
    """What a manifest says: its own digest, the settings, the digests of the inputs' manifests by role."""

    digest: str
    settings: dict[str, Any]
    inputs: dict[str, str]


class Freshness:
    """The manifests of a run as they are when planning starts."""

    def __init__(self, results: str, others: Sequence[str | None] = (), bucket: str | None = None) -> None:
        """Read every manifest below `results`, and those of the artifacts of other runs that this one is made
        from.

        Args:
            results: the run's folder.
            others: folders of artifacts of other runs; None among them is passed over.
            bucket: `gs://bucket/prefix` where artifacts lie instead of here (Snakemake's default storage).
                Objects keep the time at which they were written, so there only settings and digests are
                compared.
        """
        self._results = results
        if bucket:
            contents = remote_manifests(bucket, results)
        else:
            here = [manifest_of(folder) for folder in others if folder and "://" not in folder]
            paths = [*_manifests_below(results), *here]
            contents = {path: content for path in paths if (content := _content(path)) is not None}
        for folder in others:
            if folder and "://" in folder and (content := artifact_manifest(folder)):
                contents[manifest_of(folder)] = content
        parsed = {path: parse(content) for path, content in contents.items()}
        self._manifests = {path: recorded for path, recorded in parsed.items() if recorded is not None}
        if not bucket:
            self._align_times()

    def due(
        self,
        artifact: str,
        settings: Callable[[Any], str] | str,
        *inputs: Paths,
        source: Callable[[Any], str] | None = None,
    ) -> Callable[[Any], list[str]]:
        """An input function: nothing while the artifact is absent, or was made with these settings from just
        these inputs; else a new file.

        Args:
            artifact: its folder or file below the run's results, with the rule's wildcards.
            settings: what its manifest must show, JSON.
            inputs: the rule's inputs; those that have a manifest are compared.
            source: where the user's files lie whose digests stand in the manifest (a given teacher or
                student), if they are there.
        """

        def due(wildcards: Any) -> list[str]:
            path = f"{self._results}/{artifact.format(**dict(wildcards.items()))}"
            recorded = self._manifests.get(manifest_of(path))
            if recorded is None:  # never begun; or not finished, or its manifest is damaged
                return [local(_marker(path, "no whole manifest"))] if os.path.exists(path) else []
            paths = [str(file) for one in inputs for file in (one(wildcards) if callable(one) else one)]
            reason = (
                _changed_settings(
                    recorded, json.loads(settings(wildcards) if callable(settings) else settings)
                )
                or self._changed_inputs(recorded, paths)
                or (_changed_files(recorded, source(wildcards)) if source else "")
            )
            return [local(_marker(path, reason))] if reason else []

        return due

    def _changed_inputs(self, recorded: Recorded, paths: Iterable[str]) -> str:
        """Commands record every input that has a manifest. One that was removed since is no reason: it is
        made again where it is needed, and then this artifact too.
        """
        manifests = {path for path in paths if path.endswith(MANIFEST)}
        present = {path: self._manifests[path].digest for path in manifests & self._manifests.keys()}
        new = [path for path, digest in present.items() if digest not in recorded.inputs.values()]
        left = [role for role, digest in recorded.inputs.items() if digest not in present.values()]
        more = len(manifests) > len(recorded.inputs)
        if more or new or (left and len(present) == len(manifests)):
            return f"other inputs: {', '.join([*new, *left]) or 'one more'}"
        return ""

    def _align_times(self) -> None:
        """Let no artifact be older than the inputs that it was made from, by their digests."""
        paths: dict[str, list[str]] = {}
        for path, recorded in self._manifests.items():
            paths.setdefault(recorded.digest, []).append(path)
        times: dict[str, int] = {}

        def aligned(path: str) -> int:
            if path not in times:
                own = times[path] = _time(path)  # lineage has no circle; a forged one ends here
                inputs = [
                    one for digest in self._manifests[path].inputs.values() for one in paths.get(digest, [])
                ]
                times[path] = max([own, *map(aligned, inputs)])
                _raise_times(_declared(path), times[path])
            return times[path]

        newest = max(map(aligned, self._manifests), default=0)
        # Snakemake compares the times of benchmarks as those of outputs, though they say nothing of them.
        _raise_times(Path(self._results, "benchmarks").rglob("*.tsv"), newest)


def _manifests_below(folder: str) -> Iterator[str]:
    """Also in folders that are links, each once; what goes away meanwhile is passed over.

    Raises:
        WorkflowError: a folder may not be read.
    """
    seen = set()
    for here, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (os.path.join(here, name) for name in files if name.endswith(MANIFEST))


def _content(path: str) -> bytes | None:
    """The bytes of a file; None if it is not there.

    Raises:
        WorkflowError: it may not be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        _refuse(error)
        return None


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise WorkflowError(
            f"{error.filename}: {error.strerror}; manifests decide on what is due, so let it be read "
            "(chmod u+r, a folder u+rx)"
        )


def _time(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:  # a job begins it anew just now
        return 0


def parse(content: bytes) -> Recorded | None:
    """What a manifest says; None if it is none."""
    try:
        body = json.loads(content)
        inputs = {str(role): str(digest) for role, digest in body["inputs"].items()}
        return Recorded(hashlib.sha256(content).hexdigest(), dict(body["settings"]), inputs)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def remote_manifests(bucket: str, results: str) -> dict[str, bytes]:
    """The manifests of a run whose artifacts lie in a bucket, by the paths that rules use.

    Raises:
        UserError: the bucket cannot be read.
    """
    from mobilebert.storage.bucket import BucketStorage  # the client takes a second to import

    storage = BucketStorage(
        bucket,
        setting="--default-storage-prefix",
        needs="storage.objects.get and list",
        kept="nothing is lost",
    )
    names = [name for name in storage.list(f"{results}/") if name.endswith(MANIFEST)]
    with ThreadPoolExecutor(REQUESTS) as pool:
        contents = pool.map(storage.read, names)
        return {name: content[0] for name, content in zip(names, contents, strict=True) if content}


def _changed_settings(recorded: Recorded, expected: Mapping[str, Any]) -> str:
    shown = recorded.settings
    changed = [name for name, value in expected.items() if not _shows(shown.get(name), value, name)]
    return f"other settings: {', '.join(changed)}" if changed else ""


def _shows(shown: Any, expected: Any, name: str) -> bool:
    """Whether a manifest's settings are those expected; among a job's arguments there may be more."""
    if name == "arguments" and isinstance(shown, dict):
        return all(shown.get(argument) == value for argument, value in expected.items())
    return bool(shown == expected)


def _changed_files(recorded: Recorded, source: str) -> str:
    """Whether a file that shaped the artifact is another now; nothing to compare on a machine that does
    not have it.
    """
    files = recorded.settings.get("files") or recorded.settings.get("arguments", {}).get("from", {})
    if not existing(source) or not files:
        return ""
    folder = home(Path(source))
    folder = folder if folder.is_dir() else folder.parent
    there = digests(folder / name for name in files if (folder / name).is_file())
    changed = [name for name, digest in files.items() if there.get(folder / name) != digest]
    return f"other files: {', '.join(changed)}" if changed else ""


def _declared(manifest: str) -> list[Path]:
    """What rules declare of an artifact: the folder and its descriptions in JSON, or the single file."""
    path = Path(manifest)
    if path.name == MANIFEST:
        return [path.parent, path.parent / STAMP, *path.parent.glob("*.json")]
    return [path, path.with_name(path.name.removesuffix(f".{MANIFEST}"))]


def _raise_times(files: Iterable[Path], nanoseconds: int) -> None:
    """Let no file be older than this, as far as we may."""
    for file in files:
        with suppress(OSError):  # absent, being written just now, or somebody else's
            if file.stat().st_mtime_ns < nanoseconds:
                os.utime(file, ns=(nanoseconds, nanoseconds))


def _marker(artifact: str, reason: str) -> str:
    """A file that no earlier plan has seen: Snakemake passes over one whose content it knows."""
    marker = Path(MARKERS, artifact)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker = marker.with_name(f"{marker.name}.due")
    with replacing(marker, durable=False) as temporary:  # somebody else may be planning too
        temporary.write_text(f"{reason}\n{uuid.uuid4().hex}\n", encoding="utf-8")
    return str(marker)
