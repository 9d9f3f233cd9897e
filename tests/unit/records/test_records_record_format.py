"""Records byte for byte against TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mobilebert.records.record_format import RecordFormat


@pytest.mark.parametrize(
    ("length", "vocabulary", "largest"), [(16, 300, 0xFFFF), (128, 32768, 0xFFFF), (512, 32769, 0xFFFFFFFF)]
)
def test_bytes_are_those_that_tensorflow_writes_and_reads(
    tmp_path: Path, length: int, vocabulary: int, largest: int
) -> None:
    import tensorflow as tf

    form = RecordFormat(length, vocabulary)
    assert form.dtype.itemsize == (2 if largest == 0xFFFF else 4)
    rows = np.random.default_rng(1).integers(0, largest, (5, length), endpoint=True).astype(form.dtype)
    path = str(tmp_path / "judge.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for row in rows:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()]))
            writer.write(
                tf.train.Example(features=tf.train.Features(feature={"ids": feature})).SerializeToString()
            )
    ours = form.pack(rows)
    assert ours == Path(path).read_bytes()
    assert len(ours) == 5 * form.record.itemsize
    mine = tmp_path / "mine.tfrecord"
    mine.write_bytes(ours)
    parsed = tf.io.parse_example(
        list(tf.data.TFRecordDataset(str(mine))), {"ids": tf.io.FixedLenFeature([], tf.string)}
    )
    read = tf.io.decode_raw(parsed["ids"], tf.uint16 if largest == 0xFFFF else tf.int32)
    assert (read.numpy().view(form.dtype) == rows).all()


def test_the_flag_never_touches_an_id() -> None:
    for vocabulary in (300, 32768, 32769, 65536):
        assert RecordFormat(128, vocabulary).word_start >= vocabulary
