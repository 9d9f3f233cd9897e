"""What the settings name that lies outside a run: a user's own files, as inputs where they are there."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from snakemake.io import ancient, local
from snakemake.logging import logger

from mobilebert.corpus.sources import discovery
from mobilebert.models import configs, model_size
from mobilebert.settings import SMALL_WORLD, Settings, sections_of
from mobilebert.storage import artifacts
from mobilebert.storage.atomic import canonical_json, write_atomically
from workflow.paths import MANIFEST

DIGESTS = Path(".snakemake/digests.json")  # of files that were hashed before; only saves time


def config_of(settings: Settings, name: str) -> configs.ModelConfig:
    """The shape of a student's or teacher's name: of its file in `shapes`, or a known one (here with a
    vocabulary of 1).

    Raises:
        UserError: the file is not there, or no configuration.
    """
    return model_size.read(Path(settings.shapes[name])) if name in settings.shapes else configs.named(name, 1)


def with_config(settings: Settings, name: str, *sections: str) -> str:
    """`to_json` of these sections, and what its file says, for a command that makes a model of that name."""
    body = sections_of(settings, *sections)
    if name in settings.shapes:
        body["shapes"] = {name: config_of(settings, name).to_config()}
    return json.dumps(body, ensure_ascii=False, sort_keys=True)


def is_artifact(folder: str) -> bool:
    """Whether a folder is an artifact of another run."""
    return Path(folder, MANIFEST).is_file()


def artifact_manifest(folder: str) -> bytes | None:
    """The content of the manifest of another run's artifact, here or in a bucket; None if none can be read.

    Raises:
        UserError: the bucket cannot be read.
    """
    if folder.startswith("gs://"):
        from mobilebert.storage.bucket import BucketStorage  # the client takes a second to import

        needs, kept = "storage.objects.get", "nothing is lost"
        content = BucketStorage(folder, setting="corpus.against", needs=needs, kept=kept).read(MANIFEST)
        return content[0] if content else None
    try:
        return Path(folder, MANIFEST).read_bytes()
    except OSError:
        return None


def existing(path: str | None) -> list[str]:
    """A path from the settings as an input, if it is there: a preset's dry run needs no teacher; the command
    says what is missing.

    The prefix of a TF1 checkpoint stands for its files. Content decides on reruns, not time: `Freshness.due`
    compares digests.
    """
    if not path:
        return []
    files = [path] if Path(path).exists() else sorted(glob.glob(f"{glob.escape(path)}.*"))
    return [ancient(file) for file in trackable(files)]


def warn_of_missing(settings: Settings) -> None:
    """A warning for every setting that names a file or folder which is not there.

    No error: a preset is looked at before its teacher is there, and finished stages no longer need theirs.
    """
    for name, path in _named(settings):
        if path in (None, SMALL_WORLD) or "://" in path:
            continue
        if not (existing(path) or Path(path).exists() or discovery.find(path).files):
            logger.warning(f"WARNING: {name}: {path} is not there; the stage that reads it will fail")


def _named(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """The settings that name what must exist, with their values."""
    corpus, vocabulary, records = settings.corpus, settings.vocabulary, settings.records
    if not (corpus.from_ or records.from_):
        yield from ((f"sources, {source.name}", source.from_) for source in settings.sources)
        yield from (("corpus.decontaminate", path) for path in corpus.decontaminate)
    yield "corpus.from", corpus.from_
    yield "vocabulary.from", vocabulary.from_
    yield "vocabulary.path", vocabulary.path if vocabulary.kind == "file" else None
    yield "records.from", records.from_
    yield "records.user_dictionary", records.user_dictionary
    yield "teacher.path", settings.teacher.path
    yield "student.from", settings.student.from_
    for task in settings.tasks:
        files = getattr(settings.task, task).files
        yield f"task.{task}.files.train", files.train
        yield f"task.{task}.files.dev", files.dev


def tf1_checkpoint(path: str | None) -> bool:
    """Whether a path names a TF1 checkpoint, by its name (a dry run needs no files) or by what lies there."""
    folder = Path(path or "")
    return bool(path) and (
        ".ckpt" in folder.name
        or Path(f"{path}.index").is_file()
        or (folder.is_dir() and not (folder / "config.json").is_file() and any(folder.rglob("*.index")))
    )


def trackable(files: list[str]) -> list[str]:
    """A user's own files as inputs, on this machine's disk; those with braces, which Snakemake takes for
    wildcards, or line ends are read untracked.
    """
    return [local(file) for file in files if not set("{}\n\r") & set(file)]


def digests(paths: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of each file; one of the size and time that it had when last hashed here is not read again."""
    try:
        known = json.loads(DIGESTS.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    made: dict[Path, str] = {}
    fresh: dict[str, list[object]] = {}
    for path in paths:
        status = os.stat(path)
        entry = known.get(str(path.absolute()), [])
        if entry[:2] != [status.st_size, status.st_mtime_ns]:
            entry = fresh[str(path.absolute())] = [status.st_size, status.st_mtime_ns, artifacts.sha256(path)]
        made[path] = entry[2]
    if fresh:
        write_atomically(DIGESTS, canonical_json(known | fresh))
    return made
