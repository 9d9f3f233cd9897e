"""How much is held out, beside what was asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

_FAR = 2.0  # times as much, or as little


def log_share(counts: Mapping[str, int], share: float) -> None:
    """Log which share of the records is held out; a warning where it is over twice or under half of `share`.

    Whole documents are held out by their hash, so few documents, or a long one, may give another share.

    Args:
        counts: `train_sequences` and `heldout_sequences`, and `heldout_documents` where documents are known.
        share: `records.heldout_share`.
    """
    heldout = counts["heldout_sequences"]
    real = heldout / (heldout + counts["train_sequences"])
    documents = f" of {counts['heldout_documents']:,} documents" if "heldout_documents" in counts else ""
    said = f"{heldout:,} records{documents} are held out, {real:.2%}; records.heldout_share is {share:.2%}"
    if share / _FAR <= real <= share * _FAR:
        logging.info("%s", said)
    else:
        logging.warning("%s: whole documents are held out, and there are few of them, or long ones", said)
