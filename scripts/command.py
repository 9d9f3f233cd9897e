"""What all commands share: arguments, log, errors for people, and dying with the parent.

A command takes its settings as JSON (`--settings`, what `mobilebert.settings.to_json` writes), so that a
command printed by Snakemake can be copied and run by hand.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from mobilebert import settings
from mobilebert.errors import PassingError, UserError, refused
from mobilebert.training.options import RunOptions
from scripts import attempts
from scripts.lifetime import die_with_parent, watched_process
from scripts.logs import log_to

os.environ.setdefault(
    "TF_CPP_MIN_LOG_LEVEL", "2"
)  # before TensorFlow is imported: its start-up notices drown ours


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that every command has: --settings, --out, --log, --threads, --attempt."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--settings", default="{}", help="of this stage, as JSON; else the defaults")
    made.add_argument("--out", type=Path, required=True, help="what to write")
    made.add_argument("--log", type=Path, help="log file (the terminal is written to as well)")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads to use")
    made.add_argument(
        "--attempt",
        type=int,
        default=0,
        help="number of the attempt, from 1 on, where a failed command is repeated",
    )
    return made


def training_parser(description: str | None) -> argparse.ArgumentParser:
    """`parser` with what a resumable training needs: --state, --checkpoint-seconds and --on-nonfinite."""
    made = parser(description)
    made.add_argument("--state", type=Path, required=True, help="folder where unfinished work is kept")
    made.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=600.0,
        help="time between checkpoints; 0: after every call",
    )
    made.add_argument(
        "--state-bucket", nargs="?", const="", default="", help="gs://bucket/prefix for copies of them"
    )
    made.add_argument(
        "--on-nonfinite",
        choices=("stop", "skip"),
        default="stop",
        help="at a loss or gradient that is not finite",
    )
    return made


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """What the arguments of `training_parser` say."""
    return RunOptions(**{field.name: getattr(arguments, field.name) for field in fields(RunOptions)})


def first(paths: Sequence[Path] | None) -> Path | None:
    """The folder of an option that takes DIR [MANIFEST], as the rules give it, or nothing."""
    return paths[0] if paths else None


def beam_parser(description: str | None) -> argparse.ArgumentParser:
    """`parser` with where Beam runs: --beam."""
    made = parser(description)
    made.add_argument("--beam", type=_beam, default="{}", help="the settings `beam`, as JSON")
    return made


def _beam(text: str) -> settings.Beam:
    try:
        return settings.parse(text).beam
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> NoReturn:
    """Parse the command line, set up the log, run `main`; leave with 0, or with 1 and a line for people."""
    options = arguments.parse_args()
    attempt = options.attempt if watched_process() else 0  # a printed command may be one of a later attempt
    log_to(options.log)
    die_with_parent()
    code = 0
    try:
        if refusal := attempts.refusal(options.log, attempt):
            raise PassingError(f"not tried again, since only a change can mend it: {refusal}")
        main(options)
    except UserError as error:
        logging.error("%s", error)
        if not isinstance(error, PassingError):
            attempts.note_refusal(options.log, attempt, str(error))
        code = 1
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except Exception as error:
        if advice := refused(error):
            logging.error("%s, while %s was made; %s", " ".join(str(error).split()), options.out, advice)
        else:
            logging.exception("this is a mistake in the program, please report it")
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: an input pipeline of TensorFlow that still runs Python waits for the interpreter, which
    # waits for it.
    os._exit(code)
