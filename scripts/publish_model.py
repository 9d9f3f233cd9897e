"""Publish a model's exports: upload what differs, release.json last, and record what was uploaded."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mobilebert import settings
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from mobilebert.storage.atomic import canonical_json
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--name, --exports, --checks, --scores."""
    made = parser(__doc__)
    made.add_argument("--name", required=True, help="the model's name")
    made.add_argument("--exports", type=Path, nargs="+", required=True, help="export artifacts, one a format")
    made.add_argument(
        "--checks", type=Path, nargs="+", required=True, help="check artifacts, one for each export"
    )
    made.add_argument(
        "--scores",
        type=Path,
        nargs="*",
        default=[],
        help="the run's scores.tsv, for the card (its manifest may follow)",
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Publish and write the record."""
    from mobilebert.publishing.release import collect
    from mobilebert.publishing.target import open_storage
    from mobilebert.publishing.upload import publish

    sections = settings.load_sections(options.settings)
    licences = sections.pop("licences", {})  # of each source of the text
    chosen = settings.parse(json.dumps(sections))
    publishing = chosen.publish
    if publishing.to is None:
        raise UserError("publish.to: null, so nothing is published; name a folder or gs://bucket/prefix")
    storage = open_storage(publishing.to)
    scores = next(iter(options.scores), None)
    release = collect(options.name, publishing, options.exports, options.checks, scores, licences)
    publish(release, storage)
    inputs = {
        f"{role}/{folder.name}": folder for role in ("exports", "checks") for folder in getattr(options, role)
    }
    inputs |= {"scores": scores} if scores else {}
    record = canonical_json(release.record(storage.where))
    shown = settings.sections_of(chosen, "publish") | {"licences": licences}
    artifacts.write_file(options.out, record, "upload", settings=shown, inputs=inputs)


if __name__ == "__main__":
    run(main, arguments())
