"""List unfinished trainings: step, size, age, and whether the given settings would still go on with them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.training import listing


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        description=__doc__, epilog="What stands after -- goes to Snakemake as settings: -- --configfile presets/base-f4.yaml"
    )
    made.add_argument("--state", default="state", help="folder, or gs://bucket/prefix as in the setting state_bucket")
    made.add_argument("--remove-unreachable", action="store_true", help="remove what these settings would never go on with; nothing locked")
    made.add_argument("--target", default="all", help="what the settings are asked for: all, a named target, or a path")
    made.add_argument("snakemake", nargs="*", help="settings, as for snakemake; none: config.yaml")
    return made


def main(options: argparse.Namespace) -> None:
    """Print a line a state, then what was removed."""
    from workflow.planned import trainings

    bucket = options.state.startswith("gs://")
    found = listing.in_bucket(options.state) if bucket else listing.in_folder(Path(options.state))
    if not found:
        print(f"{options.state}: no unfinished work lies there")
        return
    wanted = trainings(options.snakemake, options.target)
    judged = [(one, *listing.verdict(one, wanted)) for one in found]
    rows = [("RUN/WORK-FINGERPRINT", "STEP", "MB", "AGE", "LOCKED BY", "")]
    for one, verdict, why in judged:
        numbers = (str(one.step) if one.step >= 0 else "none", f"{one.size / 1e6:.1f}", listing.spoken(one.age))
        rows.append((f"{one.run}/{one.name}", *numbers, one.holder or "-", f"{verdict} ({why})" if why else verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for one, verdict, _ in judged if options.remove_unreachable else []:
        if verdict == listing.UNREACHABLE:
            kept = "somebody works in it" if one.holder else listing.remove(one)
            print(f"kept {one.place}: {kept}" if kept else f"removed {one.place}")


if __name__ == "__main__":
    try:
        main(parser().parse_args())
    except UserError as error:
        sys.exit(str(error))
