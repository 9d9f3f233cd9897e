"""List unfinished trainings: newest step, size, age, and who works in them; remove some."""

from __future__ import annotations

import argparse
import math
import sys

from mobilebert.errors import UserError
from mobilebert.training.durations import parse_duration
from mobilebert.training.state import inventory


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(description=f"{__doc__} What is in use is never removed.")
    made.add_argument("--state", default="state", help="folder, or gs://bucket/prefix (state_bucket)")
    made.add_argument(
        "--remove", nargs="+", default=[], metavar="NAME", help="remove these (WORK or RUN/WORK)"
    )
    made.add_argument(
        "--remove-older-than", metavar="AGE", help="remove what is older than 90m, 12h, 7d, ..."
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Print a line a state, then what was removed."""
    oldest = parse_duration(options.remove_older_than) if options.remove_older_than else math.inf
    states = inventory.list_states(options.state)
    if not states:
        print(f"{options.state}: no unfinished training lies there")
    else:
        rows = [inventory.COLUMNS, *(state.row() for state in states)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for state in inventory.select_states(states, options.remove, oldest):
        try:
            inventory.remove_state(state)
            print(f"removed {state.name}")
        except UserError as error:
            print(f"kept {error}")


if __name__ == "__main__":
    try:
        main(parser().parse_args())
    except UserError as error:
        sys.exit(str(error))
