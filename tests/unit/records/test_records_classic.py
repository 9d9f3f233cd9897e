"""Classic BERT records: written as Google's programs read them, read as they write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilebert.errors import UserError
from mobilebert.records.bert_format import classic, exporting, importing, static
from mobilebert.records.dataset import RecordSet, shard_name
from mobilebert.settings import Masking, Records
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files

S, P = 32, 5
MASKING = Masking(max_predictions=P)
SETTINGS = Records(sequence_length=S, heldout_share=0.1, shards=2)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    with artifacts.writing(folder, "tokenizer") as made:
        files.write(
            made, "wordpiece", "\n".join([*SPECIAL, *(chr(0x4E00 + n) for n in range(300))]).encode(), True
        )
    return folder


def batch(count: int, seed: int = 1) -> dict[str, np.ndarray]:
    """What create_pretraining_data.py may write: two segments, fewer predictions than there is room for, a
    [PAD] as random token.
    """
    random = np.random.default_rng(seed)
    made = {name: np.zeros((count, S), np.int32) for name in classic.SEQUENCE}
    made |= {name: np.zeros((count, P), np.int32) for name in ("masked_positions", "masked_ids")}
    made["masked_weights"] = np.zeros((count, P), np.float32)
    for row in range(count):
        middle, end = random.integers(4, 12), random.integers(16, S)
        made["input_ids"][row, :end] = random.integers(5, 305, end)
        made["input_ids"][row, [0, middle, end - 1]] = 2, 3, 3
        made["segment_ids"][row, middle + 1 : end], made["input_mask"][row, :end] = 1, 1
        real = random.integers(1, P + 1)
        places = np.sort(random.choice(np.arange(1, 4), min(real, 3), replace=False))
        made["masked_positions"][row, : len(places)] = places
        made["masked_ids"][row, : len(places)] = made["input_ids"][row, places]
        made["masked_weights"][row, : len(places)] = 1
        made["input_ids"][row, places] = random.choice([0, 4, 77])
    return made | {"next_sentence_labels": random.integers(0, 2, count).astype(np.int32)}


def rows_of(made: dict[str, np.ndarray]) -> list[bytes]:
    """One text of bytes per record, in an order that tells nothing."""
    count = len(made["input_ids"])
    return sorted(
        b"".join(np.asarray(made[name], np.float64)[row].tobytes() for name in sorted(made))
        for row in range(count)
    )


def everything(records: RecordSet) -> list[bytes]:
    train = records.train_batches(MASKING, records.train_count, 1, 0)
    heldout = records.heldout_batch(MASKING, records.heldout_count, 1, 0)
    return sorted(rows_of(train) + rows_of(heldout))


def test_static_rows_give_back_what_they_were_made_of() -> None:
    form = static.format_of(S, P, 305)
    given = batch(50)
    found = static.batch(static.rows(given, form), P, form)
    assert all((found[name] == given[name]).all() for name in given)


@pytest.mark.parametrize("compressed", [False, True])
def test_classic_files_are_recognised_and_their_masks_stay(
    tmp_path: Path, tokenizer: Path, compressed: bool
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    parts = [batch(120, seed) for seed in (1, 2)]
    for number, part in enumerate(parts):
        path = folder / f"tf_examples.tfrecord{number}"
        assert classic.write(path, [part]) == 120
        if compressed:
            path.write_bytes(gzip.compress(path.read_bytes()))
    importing.write(str(folder), tokenizer, tmp_path / "records", SETTINGS, 7)
    records = RecordSet(tmp_path / "records")
    assert records.train_count + records.heldout_count == 240
    assert everything(records) == sorted(rows_of(parts[0]) + rows_of(parts[1]))
    assert records.next_sentence
    importing.write(f"{folder}/tf_*", tokenizer, tmp_path / "again", SETTINGS, 7)
    assert artifacts.read(tmp_path / "again").files == artifacts.read(tmp_path / "records").files


def test_training_batches_of_imported_records_have_their_own_number_of_predictions(
    tmp_path: Path, tokenizer: Path
) -> None:
    from mobilebert.records import reader

    classic.write(tmp_path / "a", [batch(100)])
    importing.write(str(tmp_path / "a"), tokenizer, tmp_path / "records", SETTINGS, 7)
    spec = reader.train_batches(
        RecordSet(tmp_path / "records"), Masking(max_predictions=9), 8, 3, 0
    ).element_spec
    assert tuple(spec["masked_ids"].shape) == (8, P)
    assert tuple(spec["next_sentence_labels"].shape) == (8,)


def test_copies_with_other_masks_fall_on_the_same_side(tmp_path: Path, tokenizer: Path) -> None:
    one = batch(100)
    other = {name: values.copy() for name, values in one.items()}
    other["input_ids"] = np.where(one["input_ids"] == 0, 4, one["input_ids"]) * one["input_mask"]
    classic.write(tmp_path / "a", [one, other])
    importing.write(str(tmp_path / "a"), tokenizer, tmp_path / "records", SETTINGS, 7)
    assert RecordSet(tmp_path / "records").heldout_count % 2 == 0


def refused(tmp_path: Path, tokenizer: Path, said: str, **settings: Any) -> None:
    with pytest.raises(UserError, match=said):
        importing.write(
            str(tmp_path / "a"), tokenizer, tmp_path / "records", SETTINGS.model_copy(update=settings), 7
        )
    assert not artifacts.exists(tmp_path / "records")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "input_ids",
            305,
            "input_ids has 305, expected 0 to 304; were these records made with the vocabulary of 305",
        ),
        ("masked_ids", -1, "masked_ids has -1"),
        ("masked_positions", 32, "masked_positions has 32, expected 0 to 31"),
        ("next_sentence_labels", 2, "next_sentence_labels has 2"),
        ("input_mask", 0, "an input_mask has a hole"),
        ("masked_weights", 0.5, "value other than 0 and 1"),
    ],
)
def test_values_that_cannot_be_are_refused(
    tmp_path: Path, tokenizer: Path, name: str, value: float, said: str
) -> None:
    made = batch(100)
    made[name].reshape(100, -1)[50, min(1, made[name].reshape(100, -1).shape[1] - 1)] = value
    classic.write(tmp_path / "a", [made])
    refused(tmp_path, tokenizer, said)


def test_records_of_another_vocabulary_or_length_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    made = batch(100)
    classic.write(tmp_path / "a", [made])
    refused(
        tmp_path,
        tokenizer,
        r"sequences of 32 tokens, but records\.sequence_length is 64; set it to 32",
        sequence_length=64,
    )
    made["input_ids"][3, 0] = 101
    classic.write(tmp_path / "a", [made])
    refused(tmp_path, tokenizer, r"begins with id 101, \[CLS\] is 2")


def test_files_that_are_something_else_are_named(tmp_path: Path, tokenizer: Path) -> None:
    import tensorflow as tf

    (tmp_path / "a").write_text("text, and enough of it to be read as a header", encoding="utf-8")
    refused(tmp_path, tokenizer, r"a: not a TFRecord file \(corrupted record")
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(b"no example")
    refused(tmp_path, tokenizer, "no tf.train.Examples")
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    refused(tmp_path, tokenizer, "no input_ids, input_mask")
    classic.write(tmp_path / "a", [batch(100)])
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[:-20])
    refused(tmp_path, tokenizer, r"a: damaged.*\(truncated record[^{}]*\)$")
    (tmp_path / "a").unlink()
    refused(tmp_path, tokenizer, "no file at")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("left", [1, 8, 11])
def test_a_file_that_ends_inside_a_records_head_is_refused(
    tmp_path: Path, tokenizer: Path, compressed: bool, left: int
) -> None:
    """Eight bytes of length and four of its checksum: TensorFlow takes what is less for the end."""
    classic.write(tmp_path / "a", [batch(200)])
    whole = (tmp_path / "a").read_bytes()
    cut = whole[: _start(whole, 100) + left]
    (tmp_path / "a").write_bytes(gzip.compress(cut) if compressed else cut)
    refused(tmp_path, tokenizer, f"a: ends inside record 101: {left} bytes come after 100 whole records")


def _start(data: bytes, record: int) -> int:
    """Where a record begins."""
    at = 0
    for _ in range(record):
        at += 16 + int.from_bytes(data[at : at + 8], "little")
    return at


def test_an_empty_shard_and_hidden_files_beside_good_ones_are_left_out(
    tmp_path: Path, tokenizer: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    classic.write(folder / "0.tfrecord", [batch(200)])
    (folder / "1.tfrecord").write_bytes(b"")
    (folder / "2.tfrecord").write_bytes(gzip.compress(b""))
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "_SUCCESS").write_bytes(b"")
    with caplog.at_level("INFO"):
        importing.write(str(folder), tokenizer, tmp_path / "records", SETTINGS, 7)
    records = RecordSet(tmp_path / "records")
    assert records.train_count + records.heldout_count == 200
    assert "1.tfrecord has no record" in caplog.text
    assert ".DS_Store: hidden" in caplog.text


def test_files_without_any_record_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    refused(tmp_path, tokenizer, "none of the 1 files there has a record")


def test_a_compressed_file_that_is_cut_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    classic.write(tmp_path / "a", [batch(200)])
    (tmp_path / "a").write_bytes(gzip.compress((tmp_path / "a").read_bytes())[:-200])
    refused(tmp_path, tokenizer, "a: (damaged|ends inside)")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A records artifact of pairs, written by hand."""
    from mobilebert.records.record_format import RecordFormat

    folder, form, random = tmp_path_factory.mktemp("records"), RecordFormat(S, 305), np.random.default_rng(1)
    with artifacts.writing(folder, "records") as writer:
        for split, counts in (("train", [40, 61]), ("heldout", [21])):
            for number, count in enumerate(counts):
                rows = random.integers(5, 305, (count, S)) | form.word_start * (
                    random.random((count, S)) < 0.7
                )
                rows[:, 0], rows[:, 12], rows[:, 29], rows[:, 30:] = 2, 3, 3, 0
                rows[:, 0] |= form.word_start * (random.random(count) < 0.5)
                writer.path(shard_name(split, number, len(counts))).write_bytes(
                    form.pack(rows.astype(form.dtype))
                )
        special = dict(zip(("pad", "unk", "cls", "sep", "mask"), range(5), strict=True))
        body = {
            "sequence_length": S,
            "vocabulary_size": 305,
            "train": [40, 61],
            "heldout": [21],
            "unigram_accuracy": 0.1,
        }
        body |= {"layout": "pairs", "next_sentence": True, "vocabulary": "x"} | special
        writer.path("records.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def test_an_export_is_read_as_run_pretraining_reads_it_and_holds_the_training_masks(
    tmp_path: Path, written: Path
) -> None:
    import tensorflow as tf

    counts = exporting.export(written, tmp_path / "out", MASKING, 3, 9)
    assert counts == {"train_sequences": 303, "heldout_sequences": 21}
    assert artifacts.read(tmp_path / "out", "bert_records").counts == counts
    # As input_fn_builder and _decode_record of Google's run_pretraining.py do.
    name_to_features = {
        "input_ids": tf.io.FixedLenFeature([S], tf.int64),
        "input_mask": tf.io.FixedLenFeature([S], tf.int64),
        "segment_ids": tf.io.FixedLenFeature([S], tf.int64),
        "masked_lm_positions": tf.io.FixedLenFeature([P], tf.int64),
        "masked_lm_ids": tf.io.FixedLenFeature([P], tf.int64),
        "masked_lm_weights": tf.io.FixedLenFeature([P], tf.float32),
        "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
    }
    found: dict[str, list[np.ndarray]] = {name: [] for name in name_to_features}
    for path in sorted(tf.io.gfile.glob(str(tmp_path / "out" / "train-*"))):
        for record in tf.data.TFRecordDataset(path):
            for name, value in tf.io.parse_single_example(record, name_to_features).items():
                found[name].append(value.numpy())
    expected = RecordSet(written).train_batches(MASKING, 303, 9, 0)
    for name, ours in classic.NAMES.items():
        assert (np.stack(found[name]).reshape(303, -1) == expected[ours].reshape(303, -1)).all(), name


def test_an_export_comes_back_as_it_went(tmp_path: Path, written: Path, tokenizer: Path) -> None:
    exporting.export(written, tmp_path / "out", MASKING, 2, 9)
    importing.write(f"{tmp_path}/out/train-*", tokenizer, tmp_path / "back", SETTINGS, 1)
    assert everything(RecordSet(tmp_path / "back")) == rows_of(
        RecordSet(written).train_batches(MASKING, 202, 9, 0)
    )


def test_without_labels_every_pair_is_the_next_one(tmp_path: Path) -> None:
    made = batch(3)
    del made["next_sentence_labels"]
    classic.write(tmp_path / "a", [made])
    (back,) = classic.read(tmp_path / "a", S, P)
    assert back["next_sentence_labels"].tolist() == [0, 0, 0]
