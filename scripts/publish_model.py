"""Publish a model's exports: upload what differs, release.json last, and record what was uploaded."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mobilebert import settings
from mobilebert.errors import UserError
from mobilebert.storage.atomic import canonical_json, write_atomically
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--name, --exports, --checks, --scores, --licences."""
    made = parser(__doc__)
    made.add_argument("--name", required=True, help="the model's name")
    made.add_argument("--exports", type=Path, nargs="+", required=True, help="export artefacts, one a format")
    made.add_argument("--checks", type=Path, nargs="+", required=True, help="check artefacts, one for each export")
    made.add_argument("--scores", type=Path, nargs="?", help="the run's scores.tsv, for the card")
    made.add_argument("--licences", type=json.loads, default={}, help="the licence of each source of the text, as JSON")
    return made


def main(options: argparse.Namespace) -> None:
    """Publish and write the record."""
    from mobilebert.publishing.release import collect
    from mobilebert.publishing.upload import publish
    from mobilebert.storage.objects import open_storage

    publishing = settings.from_json(options.settings)["publish"]
    if publishing.to is None:
        raise UserError("publish.to: null, so nothing is published; name a folder or gs://bucket/prefix")
    storage = open_storage(publishing.to)
    release = collect(options.name, publishing, options.exports, options.checks, options.scores, options.licences)
    publish(release, storage)
    write_atomically(options.out, canonical_json(release.record(storage.where)))


if __name__ == "__main__":
    run(main, arguments())
