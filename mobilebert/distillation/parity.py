"""Whether a teacher computes here what it computes at home: our forward against a second one on the source's
own tensors.

What this finds: a kernel that should have been transposed, two tensors exchanged, the wrong form of GELU, a
damaged copy.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mobilebert.distillation import reference_bert
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import import_teacher, tensor_files, tf1_files, weights
from mobilebert.models.numerics import difference, rounded_up

log = logging.getLogger(__name__)

ROWS = 2  # held-out sequences
TOKENS = 128  # of each; BERT's layers do the same at every position
# Both sides compute in float64 and agree to 1e-13; the two forms of GELU are 1e-3 apart over twelve layers,
# 1e-5 over two.
TOLERANCE = 1e-8


class Source(NamedTuple):
    """A teacher where it came from: its tensors, its configuration, and whether that is an original TF1
    one.
    """

    tensors: reference_bert.Tensors
    config: Mapping[str, Any]
    original: bool


def measure(folder: Path, source: Source, batch: Mapping[str, Any], *, head: bool) -> dict[str, Any]:
    """Compare, and say how far the two are apart: the content of evaluation.json's `parity`.

    Args:
        folder: the model directory that students will learn from.
        source: what it was imported from.
        batch: held-out sequences: `input_ids`, `segment_ids`, `input_mask`, each (B, S).
        head: whether to compare the MLM logits too (not after the head was retrained).

    Raises:
        UserError: they differ by more than rounding.
    """
    if source.config.get("use_bottleneck", True) and source.config.get("model_type") == "mobilebert":
        log.info(
            "%s: a model with bottlenecks, which the second forward does not know; parity is not checked",
            folder,
        )
        return {"checked": False}
    rows = {
        name: np.asarray(batch[name])[:ROWS, :TOKENS] for name in ("input_ids", "segment_ids", "input_mask")
    }
    if not rows["segment_ids"].any():  # records of one text: the other type's row is compared too
        types = min(2, int(source.config.get("type_vocab_size", 2)))
        rows["segment_ids"] = (np.arange(rows["input_ids"].shape[1]) % types * rows["input_mask"]).astype(
            np.int32
        )
    hidden, logits = _ours(folder, rows)
    worst = {"hidden": 0.0} | ({"logits": 0.0} if head else {})
    for row, (ids, segments, mask) in enumerate(zip(*rows.values(), strict=True)):
        real = mask.astype(bool)  # what stands at padding means nothing
        expected = reference_bert.encode(source.tensors, source.config, source.original, ids, segments, mask)
        worst["hidden"] = max(worst["hidden"], difference(hidden[row][real], expected[real]))
        if head:
            expected_logits = reference_bert.logits(
                source.tensors, source.config, source.original, expected[real]
            )
            worst["logits"] = max(worst["logits"], difference(logits[row][real], expected_logits))
    for what, value in worst.items():
        if not value <= TOLERANCE:
            raise UserError(
                f"{folder}: its {what} differ by {value:.2e} of their largest value from a plain NumPy "
                f"forward on the source's tensors, at "
                f"most {TOLERANCE:.0e} is rounding; the copy is damaged, or the import misread it: remove "
                f"{folder} and import it again"
            )
    tokens = int(rows["input_mask"].sum())
    log.info(
        "parity: %s on %d tokens",
        ", ".join(f"{what} within {value:.1e}" for what, value in worst.items()),
        tokens,
    )
    return {"checked": True, "tokens": tokens, "tolerance": TOLERANCE} | {
        name: rounded_up(value) for name, value in worst.items()
    }


def _ours(folder: Path, rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Last layer's output (B, S, H) and MLM logits (B, S, V) of our forward in float64, on the CPU: others
    have no float64.
    """
    with tf.device("CPU:0"):
        model = weights.load(folder, compute_dtype="float64", variable_dtype="float64")
        sequence = model.encode(
            *(tf.constant(rows[name]) for name in ("input_ids", "segment_ids", "input_mask"))
        ).sequence
        count, length = rows["input_ids"].shape
        positions = tf.tile(tf.range(length)[tf.newaxis], [count, 1])
        logits = model.masked_lm_logits(sequence, positions)
    return sequence.numpy(), logits.numpy().reshape(count, length, -1)


def open_source(source: Path) -> Source:
    """The tensors and configuration of a transformers directory, or of a TF1 checkpoint by folder or
    prefix.
    """
    if import_teacher.kind_of(source) == "tf1":
        files = tf1_files.find(source)
        config = tensor_files.read_json(files.config)
        prefix = "electra" if "embedding_size" in config else "bert"
        return Source(
            reference_bert.Tf1Tensors(tf.train.load_checkpoint(str(files.prefix)), prefix), config, True
        )
    config = tensor_files.read_config(source)
    prefix = str(config.get("model_type", "bert"))
    original = (
        not {"model_type", "architectures"} & config.keys()
    )  # torch files of 2019 lie beside the TF1 configuration
    return Source(
        reference_bert.TransformersTensors(tensor_files.of_folder(source, prefix), prefix), config, original
    )
