"""Stands in for every command: writes what the rule expects, with content that follows from settings and
inputs.

Its manifests show the settings as those of the real commands do, for the demo's settings and what the tests
change of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

OPERATION = {
    "--out",
    "--log",
    "--threads",
    "--attempt",
    "--state",
    "--state-bucket",
    "--checkpoint-seconds",
    "--on-nonfinite",
    "--beam",
}


def read_options(words: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            values = options.setdefault(word, [])
        else:
            values.append(word)
    return options


def manifest_of(path: Path) -> Path:
    beside = path.with_name(f"{path.name}.manifest.json")
    return beside if beside.is_file() or path.suffix else path / "manifest.json"


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def shown_settings(command: str, options: dict[str, list[str]]) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(options.get("--settings", ["{}"])[0])
    if command == "list_sources":
        from mobilebert.corpus.sources import listing
        from mobilebert.settings import Source
        from mobilebert.storage import download

        sources = [Source.model_validate(source) for source in settings["sources"]]
        settings = {
            "sources": [download.shown(source) for source in sources],
            "listing": listing.listing(listing.local_files(sources)),
        }
    elif command == "clean_corpus":
        from mobilebert.settings import without_paths

        named = [name for name in settings["corpus"]["decontaminate"] if name != "small_world"]
        settings = without_paths(settings) | {"files": sorted(map(digest, named))}
    elif command in {"write_records", "export_records"}:
        from mobilebert.settings import derive_seed

        settings["seed"] = derive_seed(settings["seed"], command)
        settings["files"] = [digest(path) for path in options.get("--dictionary", [])]
    elif command == "prepare_task":
        from mobilebert import tasks
        from mobilebert.settings import TaskFiles

        (files,) = settings.values()
        settings = tasks.settings_of(options["--task"][0], TaskFiles.model_validate(files))
    elif command == "import_student":
        (checkpoint,) = map(Path, options["--checkpoint"])
        files = [*checkpoint.parent.glob(f"{checkpoint.name}.*"), checkpoint.parent / "vocab.txt"]
        settings["files"] = {path.name: digest(path) for path in files}
    elif command == "export_teacher":
        settings["needs"] = json.loads(options["--needs"][0])
    elif command in {"transfer_layer", "pretrain_student"}:
        from mobilebert.settings import without_paths

        settings = without_paths(settings)
        settings["arguments"] = {"extra_steps": int(options.get("--extra-steps", ["0"])[0])}
    return settings


def main() -> None:
    command, options = Path(sys.argv[0]).stem, read_options(sys.argv[1:])
    out = Path(options["--out"][0])
    shaping = {name: values for name, values in options.items() if name not in OPERATION}
    words = [word for values in shaping.values() for word in values if len(word) < 200]
    words += json.loads(options.get("--settings", ["{}"])[0]).get("corpus", {}).get("against", [])
    manifests = {word if word.endswith("manifest.json") else str(manifest_of(Path(word))) for word in words}
    inputs = {path: digest(path) for path in sorted(manifests) if Path(path).is_file()}
    text = json.dumps(
        {"sha256": hashlib.sha256(json.dumps([shaping, inputs], sort_keys=True).encode()).hexdigest()}
    )
    manifest = json.dumps({"settings": shown_settings(command, options), "inputs": inputs, "content": text})
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        out.with_name(f"{out.name}.manifest.json").write_text(manifest)
        return
    out.mkdir(parents=True, exist_ok=True)
    for name in ("data", "funnel.json", "records.json"):
        (out / name).write_text(text)
    (out / "manifest.json").write_text(manifest)


if __name__ == "__main__":
    main()
