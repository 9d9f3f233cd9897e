"""Print what a model costs: parameters by part, FLOPs at 128 and 512 tokens, size on disk."""

from __future__ import annotations

import argparse
import logging
import sys

from mobilebert.errors import UserError
from mobilebert.models import model_size


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="python -m scripts.describe_model", description=__doc__)
    made.add_argument(
        "model",
        nargs="*",
        help="a shape's name (base-f2), a configuration (student_base_f2.json) or a model's folder",
    )
    made.add_argument("--all", action="store_true", help="a table of all named shapes")
    made.add_argument(
        "--vocabulary",
        type=int,
        help=f"entries ({model_size.CHINESE}; {model_size.ENGLISH} for Google's English shapes)",
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Print a page for each model, or the table."""
    if options.all:
        print(model_size.table(options.vocabulary))
    for name in options.model:
        print(model_size.page(name, model_size.find(name, options.vocabulary)))


if __name__ == "__main__":
    arguments = parser()
    parsed = arguments.parse_args()
    if not parsed.all and not parsed.model:
        arguments.error("name a model, or say --all")
    try:
        main(parsed)
    except UserError as error:
        logging.error("%s", error)
        sys.exit(1)
