"""Read back everything that was published, compare it with the upload's record, and write the receipt."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mobilebert import settings
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from mobilebert.storage.atomic import canonical_json
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """--name, --record."""
    made = parser(__doc__)
    made.add_argument("--name", required=True, help="the model's name")
    made.add_argument("--record", type=Path, required=True, help="what publish_model wrote")
    return made


def main(options: argparse.Namespace) -> None:
    """Verify and write the receipt."""
    from mobilebert.publishing.target import open_storage
    from mobilebert.publishing.verify import read_record, verify

    chosen = settings.parse(options.settings)
    publishing = chosen.publish
    if publishing.to is None:
        raise UserError("publish.to: null, so nothing is published; name a folder or gs://bucket/prefix")
    storage = open_storage(publishing.to)
    record = read_record(options.record, options.name, storage)
    receipt = canonical_json(verify(record, storage))
    inputs = {"record": options.record} if artifacts.exists(options.record) else {}
    shown = settings.sections_of(chosen, "publish")
    artifacts.write_file(options.out, receipt, "receipt", settings=shown, inputs=inputs)
    logging.info("%s is published and was read back whole", record["destination"])


if __name__ == "__main__":
    run(main, arguments())
