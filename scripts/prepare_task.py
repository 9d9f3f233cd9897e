"""Read a task's train and dev files into the line form that finetuning and scoring take."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mobilebert import settings, tasks
from mobilebert.storage import artifacts
from scripts.command import parser, run


def main(options: argparse.Namespace) -> None:
    """Write the `task` artifact."""
    world = options.world[0] if options.world else None
    files: settings.TaskFiles = getattr(settings.parse(options.settings).task, options.task).files
    inputs = tasks.inputs_of(files, world)
    with artifacts.writing(
        options.out, "task", settings=tasks.settings_of(options.task, files), inputs=inputs
    ) as writer:
        tasks.prepare(writer, options.task, files, world)
    for split in ("train", "dev"):
        logging.info(
            "%s %s: %s",
            options.task,
            split,
            ", ".join(f"{name} {count}" for name, count in writer.counts[split].items()),
        )


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--task", required=True, choices=list(tasks.TASKS), help="the task")
    arguments.add_argument(
        "--world",
        type=Path,
        nargs="*",
        help="the small world (its manifest may follow), for files that are its",
    )
    run(main, arguments)
