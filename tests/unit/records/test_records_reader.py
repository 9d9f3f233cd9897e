"""Records as TensorFlow datasets."""

from __future__ import annotations

import copy
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import UserError, unwrapped
from mobilebert.records import gzip_blocks
from mobilebert.records.dataset import RecordSet, shard_name
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Masking
from mobilebert.storage import artifacts

MASKING = Masking(max_predictions=5)


@pytest.fixture(scope="module", params=[300, 40000])
def records(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RecordSet:
    """Records of either width."""
    return write_records(tmp_path_factory.mktemp("records"), request.param)


def write_records(folder: Path, vocabulary_size: int) -> RecordSet:
    """101 training and 21 held-out records, written by hand."""
    form = RecordFormat(32, vocabulary_size)
    random = np.random.default_rng(1)
    with artifacts.writing(folder, "records") as writer:
        for split, counts in (("train", [40, 0, 61]), ("heldout", [21])):
            for number, count in enumerate(counts):
                rows = random.integers(5, vocabulary_size, (count, 32)) | form.word_start * (
                    random.random((count, 32)) < 0.7
                )
                rows[:, 0], rows[:, 29], rows[:, 30:] = 2, 3, 0
                writer.path(shard_name(split, number, len(counts))).write_bytes(
                    form.pack(rows.astype(form.dtype))
                )
        special = dict(zip(("pad", "unk", "cls", "sep", "mask"), range(5), strict=True))
        body = {
            "sequence_length": 32,
            "vocabulary_size": vocabulary_size,
            "train": [40, 0, 61],
            "heldout": [21],
            "unigram_accuracy": 0.1,
        }
        writer.path("records.json").write_text(
            json.dumps(body | special | {"vocabulary": "x"}), encoding="utf-8"
        )
    return RecordSet(folder)


def taken(dataset: object, count: int) -> list[dict[str, np.ndarray]]:
    return [
        {name: value.numpy() for name, value in batch.items()} for batch in itertools.islice(dataset, count)
    ]


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def test_going_on_at_a_step_gives_what_reading_up_to_it_gives(records: RecordSet) -> None:
    from mobilebert.records import reader

    through = taken(reader.train_batches(records, MASKING, 8, 3, 0), 300)  # over several epochs and calls
    for start in (1, 13, 128, 290):
        resumed = taken(reader.train_batches(records, MASKING, 8, 3, start), 10)
        assert all(same(a, b) for a, b in zip(through[start:], resumed, strict=False))
    assert not same(through[0], taken(reader.train_batches(records, MASKING, 8, 4, 0), 1)[0])


def test_a_block_that_is_damaged_while_it_is_read_is_named(tmp_path: Path) -> None:
    from mobilebert.records import reader

    form, count = RecordFormat(32, 300), 5 * gzip_blocks.BLOCK
    rows = np.random.default_rng(1).integers(5, 300, (count, 32)).astype(form.dtype)
    rows[:, 0], rows[:, 31] = 2, 3
    with artifacts.writing(tmp_path / "records", "records") as writer:
        shard = writer.path(shard_name("train", 0, 1))
        for path, number in ((shard, count), (writer.path(shard_name("heldout", 0, 1)), 0)):
            with gzip_blocks.writing(str(path), form, "gzip") as sink:
                sink.write(rows[:number])
        special = dict(zip(("pad", "unk", "cls", "sep", "mask"), range(5), strict=True))
        body = {
            "sequence_length": 32,
            "vocabulary_size": 300,
            "train": [count],
            "heldout": [0],
            "unigram_accuracy": 0.1,
        }
        text = json.dumps(
            body
            | special
            | {"vocabulary": "x", "layout": "windows", "next_sentence": False, "compression": "gzip"}
        )
        writer.path("records.json").write_text(text, encoding="utf-8")
    opened = RecordSet(tmp_path / "records")
    path = opened.folder / shard.name
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size - 100)  # in the last block
        stream.write(bytes(50))
    named = rf"^{re.escape(str(path))}: its block 4 at byte \d+ is damaged \(.*\); write the records anew$"
    with pytest.raises(UserError, match=named), unwrapped():
        taken(reader.train_batches(opened, MASKING, 32, 3, 0), 20)


def test_masks_and_order_do_not_depend_on_the_batch_size(records: RecordSet) -> None:
    from mobilebert.records import reader

    small = taken(reader.train_batches(records, MASKING, 6, 3, 0), 10)
    large = taken(reader.train_batches(records, MASKING, 60, 3, 0), 1)[0]
    assert same({name: np.concatenate([batch[name] for batch in small]) for name in large}, large)


def masks(batch: dict[str, np.ndarray]) -> dict[bytes, set[int]]:
    """The masked positions by the text that was there before."""
    found = {}
    for row, ids in enumerate(batch["input_ids"].copy()):
        real = batch["masked_weights"][row] > 0
        ids[batch["masked_positions"][row][real]] = batch["masked_ids"][row][real]
        found[ids.tobytes()] = set(batch["masked_positions"][row][real].tolist())
    return found


def overlap(one: dict[bytes, set[int]], other: dict[bytes, set[int]]) -> float:
    """The share of the first's masked positions that the other masks as well, in the same texts."""
    assert one.keys() == other.keys()
    return sum(len(one[text] & other[text]) for text in one) / sum(
        len(positions) for positions in one.values()
    )


def test_a_record_has_another_mask_in_every_epoch(records: RecordSet) -> None:
    first, second = (
        masks(records.train_batches(MASKING, records.train_count, 3, epoch)) for epoch in range(2)
    )
    assert len(first) == records.train_count
    # By chance it is the share, 0.15; about 400 masks give a standard deviation of 0.02.
    assert 0.07 < overlap(first, second) < 0.25


def test_held_out_masks_are_not_those_of_the_first_epoch(records: RecordSet) -> None:
    twin = copy.copy(records)  # trains on the held-out records
    twin._train, twin.train_count = records._heldout, records.heldout_count
    heldout, first = (
        masks(batch)
        for batch in (records.heldout_batch(MASKING, 21, 3, 0), twin.train_batches(MASKING, 21, 3, 0))
    )
    assert overlap(heldout, first) < 0.4


def test_shapes_and_types_are_static(records: RecordSet) -> None:
    import tensorflow as tf

    from mobilebert.records import reader

    spec = reader.train_batches(records, MASKING, 8, 3, 0).element_spec
    expected = dict.fromkeys(("input_ids", "segment_ids", "input_mask"), ((8, 32), tf.int32))
    expected |= dict.fromkeys(("masked_positions", "masked_ids"), ((8, 5), tf.int32)) | {
        "masked_weights": ((8, 5), tf.float32)
    }
    assert {name: (tuple(value.shape), value.dtype) for name, value in spec.items()} == expected
    assert {
        name: (tuple(v.shape), v.dtype)
        for name, v in reader.heldout_batches(records, MASKING, 8, 3).element_spec.items()
    } == expected


def test_held_out_batches_are_always_the_same_and_end(records: RecordSet) -> None:
    from mobilebert.records import reader

    first, second = (taken(reader.heldout_batches(records, MASKING, 8, 3), 99) for _ in range(2))
    assert len(first) == 3
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    weights = np.concatenate([batch["masked_weights"] for batch in first]).sum(axis=1)
    assert (weights[:21] > 0).all()
    assert not weights[21:].any()
    assert (
        first[-1]["input_mask"].sum(axis=1) == 30
    ).all()  # filled up with real rows: nothing divides by an empty mask


def test_a_strategy_splits_the_global_batch(records: RecordSet) -> None:
    import tensorflow as tf

    from mobilebert.records import reader

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    distributed = strategy.experimental_distribute_dataset(reader.train_batches(records, MASKING, 8, 3, 2))
    whole = taken(reader.train_batches(records, MASKING, 8, 3, 2), 1)[0]
    assert same({name: value.numpy() for name, value in next(iter(distributed)).items()}, whole)


def test_a_file_of_another_form_is_named(tmp_path: Path, records: RecordSet) -> None:
    from mobilebert.errors import UserError
    from mobilebert.records import dataset

    path = tmp_path / "train-00000-of-00001.tfrecord"
    path.write_bytes(RecordFormat(32, records.vocabulary_size).pack(np.zeros((4, 32))))
    with pytest.raises(UserError, match=r"train-00000-of-00001\.tfrecord: \d+ bytes, but 5 records"):
        dataset._Split(tmp_path, "train", [5], RecordFormat(32, records.vocabulary_size), "none")


def test_the_writer_imports_no_tensorflow() -> None:
    import subprocess
    import sys

    code = "import sys, mobilebert.records.writer; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fewer_records_than_a_batch_are_refused_before_training(records: RecordSet) -> None:
    from mobilebert.errors import UserError
    from mobilebert.records import reader

    with pytest.raises(UserError, match="101 training records do not fill one batch of 102; give more text"):
        reader.train_batches(records, MASKING, 102, 3, 0)


def test_a_program_ends_while_batches_are_being_made_ahead(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"""
from mobilebert.records import reader
from mobilebert.settings import Masking
records = reader.RecordSet({str(write_records(tmp_path, 300).folder)!r})
masking = Masking(max_predictions=5)
iterators = [iter(reader.train_batches(records, masking, 100, seed, 0)) for seed in range(4)]
print(sum(int(next(iterator)["input_ids"].shape[0]) for iterator in iterators for _ in range(5)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "2000")


def test_places_of_a_steps_records_are_where_the_files_have_them(records: RecordSet) -> None:
    """Read anew with TensorFlow's own reader; a mask changes at most a few ids of a row."""
    import tensorflow as tf

    paths = {path.name: path for path in records.folder.glob("train-*.tfrecord")}
    for step in (0, 9, 300):
        batch = records.train_batches(MASKING, 16, 3, step)
        places = records.locate_train(16, 3, step)
        assert len(places) == 16
        for (name, number), ids in zip(places, batch["input_ids"], strict=True):
            (example,) = tf.data.TFRecordDataset(str(paths[name])).skip(number).take(1)
            feature = tf.train.Example.FromString(example.numpy()).features.feature["ids"].bytes_list.value[0]
            form = RecordFormat(32, records.vocabulary_size)
            stored = np.frombuffer(feature, form.dtype) & ~form.dtype.type(form.word_start)
            assert (stored != ids).sum() <= MASKING.max_predictions
