"""The classic BERT records of Google's create_pretraining_data.py and run_pretraining.py: `tf.train.Example`s
of seven features.

`input_ids`, `input_mask`, `segment_ids` (S), `masked_lm_positions`, `masked_lm_ids` (P) and
`next_sentence_labels` (1) are int64, `masked_lm_weights` (P) is float32.
https://github.com/google-research/bert/blob/master/create_pretraining_data.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from isal import igzip, isal_zlib

from mobilebert.errors import UserError
from mobilebert.records.masking import Batch

# Classic name -> ours, per sequence S, prediction P, or record.
SEQUENCE = {"input_ids": "input_ids", "input_mask": "input_mask", "segment_ids": "segment_ids"}
PREDICTIONS = {
    "masked_lm_positions": "masked_positions",
    "masked_lm_ids": "masked_ids",
    "masked_lm_weights": "masked_weights",
}
LABEL = "next_sentence_labels"
NAMES = SEQUENCE | PREDICTIONS | {LABEL: LABEL}
AT_ONCE = 1024  # records
_FRAMING = 8 + 4 + 4  # bytes of a record's length and of two checksums


def write(path: Path, batches: Iterable[Batch]) -> int:
    """Write batches to a file; without next-sentence labels all are 0, "is next".

    Returns the number of records.
    """
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in batches:
            size = len(batch["input_ids"])
            labels = batch.get(LABEL, np.zeros(size, np.int32))
            columns = {
                name: (batch | {LABEL: labels})[ours].reshape(size, -1).tolist()
                for name, ours in NAMES.items()
            }
            for row in range(size):
                features = {name: _feature(name, column[row]) for name, column in columns.items()}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString(deterministic=True))
            count += size
    return count


def _feature(name: str, values: list) -> tf.train.Feature:
    if name == "masked_lm_weights":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def widths(path: Path) -> tuple[int, int] | None:
    """S and P of a file, from its first record; None if it has none.

    Raises:
        UserError: it is no file of classic BERT records.
    """
    try:
        first = next(iter(_dataset(path).take(1).as_numpy_iterator()), None)
        if first is None and not _size(path):
            return None
        features = tf.train.Example.FromString(first or b"").features.feature
    except tf.errors.OpError as error:
        raise UserError(
            f"{path}: not a TFRecord file ({_said(error)}); records.from takes classic BERT records"
        ) from None
    except DecodeError:
        raise UserError(
            f"{path}: its records are no tf.train.Examples; records.from takes classic BERT records"
        ) from None
    missing = sorted(NAMES.keys() - set(features))
    if missing:
        raise UserError(
            f"{path}: no {', '.join(missing)} in its first record; classic BERT records have "
            f"{', '.join(NAMES)}"
        )
    return len(features["input_ids"].int64_list.value), len(features["masked_lm_ids"].int64_list.value)


def read(path: Path, sequence_length: int, predictions: int) -> Iterator[Batch]:
    """The records of a file, GZIP or not, some at a time, in our names.

    Raises:
        UserError: naming the file: damaged, or a record of another shape.
    """
    spec = {name: tf.io.FixedLenFeature([sequence_length], tf.int64) for name in SEQUENCE}
    spec |= {
        name: tf.io.FixedLenFeature([predictions], tf.float32 if "weights" in name else tf.int64)
        for name in PREDICTIONS
    }
    spec[LABEL] = tf.io.FixedLenFeature([1], tf.int64)
    count = size = 0
    try:
        for examples in _dataset(path).batch(AT_ONCE):
            count += len(examples)
            size += int(tf.reduce_sum(tf.strings.length(examples))) + _FRAMING * len(examples)
            parsed = tf.io.parse_example(examples, spec)
            batch = {ours: parsed[name].numpy() for name, ours in NAMES.items()}
            yield batch | {LABEL: batch[LABEL][:, 0]}
    except tf.errors.OpError as error:
        raise UserError(
            f"{path}: damaged, or a record in it is not {sequence_length} tokens and {predictions} "
            f"predictions long as its first one is "
            f"({_said(error)})"
        ) from None
    # TensorFlow takes a file that ends inside the head of a record for whole.
    if size != (whole := _size(path)):
        raise UserError(
            f"{path}: ends inside record {count + 1}: {whole - size} bytes come after {count} whole records; "
            f"copy the file again"
        )


def _size(path: Path) -> int:
    """The bytes of a file without its compression.

    Raises:
        UserError: it is compressed, and damaged.
    """
    if not _is_compressed(path):
        return path.stat().st_size
    try:
        with igzip.open(path) as stream:
            return sum(map(len, iter(lambda: stream.read(1 << 20), b"")))
    except (OSError, EOFError, isal_zlib.error) as error:  # type: ignore[misc]  # a class, whatever its stub says
        raise UserError(f"{path}: damaged ({error}); copy the file again") from None


def _said(error: tf.errors.OpError) -> str:
    """What TensorFlow says, without the names of its own functions."""
    return re.sub(r"\{\{.*?\}\} *| *\[Op:\w+\]?", "", str(error.message).splitlines()[0])[:150]


def _dataset(path: Path) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(str(path), compression_type="GZIP" if _is_compressed(path) else "")


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
