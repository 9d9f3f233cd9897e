"""Write the report: one HTML file on everything that the run made."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.reporting import page
from mobilebert.reporting.collect import collect
from mobilebert.settings import load_sections
from mobilebert.storage import artifacts
from scripts.command import parser, run


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--results", type=Path, required=True, help="the run's results folder")
    made.add_argument(
        "--made-from",
        type=Path,
        nargs="*",
        help=(
            "artifacts' folders and manifests, scores.tsv, timings, receipts to report on; by default all "
            "there"
        ),
    )
    return made


def main(options: argparse.Namespace) -> None:
    """Collect the artifacts and write the page."""
    if not options.results.is_dir():
        raise UserError(f"{options.results}: no such folder; name the results folder of a run")
    shown = load_sections(options.settings)  # no defaults: the report shows what the run was made with
    name = str(shown.get("run", options.results.resolve().name))
    html = page.render(name, collect(options.results, options.made_from), shown)
    manifests = [path for path in options.made_from or [] if path.name.endswith(artifacts.MANIFEST)]
    inputs = {os.path.relpath(made, options.results): made for made in map(artifacts.described_by, manifests)}
    artifacts.write_file(options.out, html.encode(), "report", settings=shown, inputs=inputs)


if __name__ == "__main__":
    run(main, arguments())
