"""Arguments that several commands have."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_records(made: argparse.ArgumentParser) -> None:
    """--records and --tokenizer, of commands that read token records."""
    made.add_argument("--records", type=Path, required=True, help="the token records")
    made.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer that wrote them")


def add_needs(made: argparse.ArgumentParser) -> None:
    """--needs, of commands that check a teacher."""
    made.add_argument(
        "--needs",
        type=json.loads,
        default=[],
        help="what the students ask of it, as JSON: [{'num_hidden_layers': 12, ...}, ...]",
    )
