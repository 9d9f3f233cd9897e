"""The whole way from corpus to records and back."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.records import chunking, counter_rng, gzip_blocks, pipeline, shuffling, writer
from mobilebert.records.dataset import RecordSet
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Masking, Records
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files
from tests.clauses import CLAUSES

SETTINGS = Records(sequence_length=32, heldout_share=0.1, shards=3)


def documents(count: int) -> list[str]:
    chance = random.Random(7)
    return [
        "".join(f"{'，'.join(chance.sample(CLAUSES, 3))}。" for _ in range(chance.randrange(1, 6)))
        for _ in range(count)
    ]


def corpus(folder: Path, texts: list[str], files_: int = 1, group: int = 50, **settings: object) -> Path:
    with artifacts.writing(folder, "corpus", settings={"corpus": settings}) as made:
        for number in range(files_):
            part = texts[number * len(texts) // files_ : (number + 1) * len(texts) // files_]
            table = pa.table({"id": [""] * len(part), "source": [""] * len(part), "text": part})
            pq.write_table(table, made.path(f"part-{number:05d}.parquet"), row_group_size=group)
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    with artifacts.writing(folder, "tokenizer") as made:
        files.write(
            made, "wordpiece", "\n".join([*SPECIAL, *sorted(set("".join(CLAUSES) + "，。"))]).encode(), True
        )
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    folder = tmp_path_factory.mktemp("written")
    writer.write(corpus(folder / "corpus", documents(300)), tokenizer, folder / "records", SETTINGS, 20, 1)
    return folder / "records"


def stored(records: RecordSet, split: str) -> np.ndarray:
    found = getattr(records, f"_{split}")
    return found.rows(np.arange(found.count))


def test_every_row_of_every_document_is_stored_once(written: Path, tokenizer: Path) -> None:
    records, loaded = RecordSet(written), tokenization.load(tokenizer)
    packed = chunking.pack(
        [text.encode() for text in documents(300)], loaded, RecordFormat(32, loaded.size), SETTINGS
    )
    for split, rows in (("train", packed.rows[~packed.heldout]), ("heldout", packed.rows[packed.heldout])):
        assert Counter(map(bytes, stored(records, split))) == Counter(map(bytes, rows))
    counts = artifacts.read(written).counts
    assert counts["train_sequences"] == records.train_count
    assert counts["heldout_sequences"] == records.heldout_count
    assert counts["train_bytes"] + counts["heldout_bytes"] == sum(
        len(text.encode()) for text in documents(300)
    )


def test_records_json_tells_what_the_files_hold(written: Path, tokenizer: Path) -> None:
    body = json.loads((written / "records.json").read_text(encoding="utf-8"))
    import tensorflow as tf

    def held(name: str) -> int:
        return sum(1 for _ in tf.data.TFRecordDataset(str(written / name), compression_type="GZIP"))

    assert [held(f"train-0000{n}-of-00003.tfrecord") for n in range(3)] == body["train"]
    assert held("heldout-00000-of-00001.tfrecord") == body["heldout"][0]
    assert max(body["train"]) < 1.5 * min(body["train"])
    assert body["tokenizer"] == artifacts.digest(tokenizer)
    assert body["vocabulary"] == tokenization.load(tokenizer).digest
    ids = stored(RecordSet(written), "heldout") & 0x7FFF
    common = np.bincount(ids[ids > 4])
    assert body["unigram_accuracy"] == pytest.approx(common.max() / common.sum())


def test_rows_are_shuffled_over_the_whole_corpus(tmp_path: Path, tokenizer: Path, written: Path) -> None:
    loaded = tokenization.load(tokenizer)
    packed = chunking.pack(
        [text.encode() for text in documents(300)], loaded, RecordFormat(32, loaded.size), SETTINGS
    )
    place = {bytes(row): n for n, row in enumerate(packed.rows)}
    order = [place[bytes(row)] for row in stored(RecordSet(written), "train")]
    assert abs(np.corrcoef(np.arange(len(order)), order)[0, 1]) < 0.2


def test_a_reader_of_several_files_inflates_each_block_once_an_epoch(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzip_blocks, "BLOCKS_KEPT", 16 + 3)  # a span's, and what fills no block
    records = RecordSet(written)
    files = json.loads((written / "records.json").read_text(encoding="utf-8"))["train"]
    inflated: list[int] = []
    real = gzip_blocks.isal_zlib.decompress
    monkeypatch.setattr(
        gzip_blocks.isal_zlib, "decompress", lambda *given: inflated.append(1) or real(*given)
    )
    numbers = counter_rng.shuffled(
        np.arange(records.train_count), records.train_count, counter_rng.keys(1, 0)
    )
    rows = np.concatenate([records._train.rows(numbers[at : at + 64]) for at in range(0, len(numbers), 64)])
    assert sum(inflated) == sum(-(-count // gzip_blocks.BLOCK) for count in files) > 3
    assert Counter(map(bytes, rows)) == Counter(map(bytes, stored(records, "train")))


def test_the_cut_of_the_corpus_does_not_show_in_the_bytes(
    tmp_path: Path, tokenizer: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(pipeline, "BYTES_AT_ONCE", 900)
    monkeypatch.setattr(pipeline, "SPILL_BYTES", 500)
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 1000)
    cut = corpus(tmp_path / "corpus", documents(300), files_=4, group=7)
    assert len(pipeline.blocks(cut)) > 10
    writer.write(cut, tokenizer, tmp_path / "records", SETTINGS, 20, 1)
    assert artifacts.read(tmp_path / "records").files == artifacts.read(written).files


@pytest.mark.parametrize(
    "changed", [{"layout": "full"}, {"layout": "pairs", "next_sentence": True}, {"compression": "none"}]
)
def test_other_forms_do_not_show_the_cut_of_the_corpus_either(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    settings = SETTINGS.model_copy(update=changed)
    monkeypatch.setattr(shuffling, "GROUP", 64)
    writer.write(corpus(tmp_path / "whole", documents(300)), tokenizer, tmp_path / "one", settings, 20, 1)
    monkeypatch.setattr(pipeline, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(pipeline, "BYTES_AT_ONCE", 900)
    monkeypatch.setattr(pipeline, "SPILL_BYTES", 500)
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 1000)
    writer.write(
        corpus(tmp_path / "cut", documents(300), files_=4, group=7),
        tokenizer,
        tmp_path / "two",
        settings,
        20,
        1,
    )
    assert artifacts.read(tmp_path / "one").files == artifacts.read(tmp_path / "two").files
    one = RecordSet(tmp_path / "one")
    batch = one.train_batches(Masking(max_predictions=5), 32, 1, 0)
    if changed.get("next_sentence"):
        assert (
            0.3
            < one.train_batches(Masking(max_predictions=5), one.train_count, 1, 0)[
                "next_sentence_labels"
            ].mean()
            < 0.7
        )
    if changed.get("layout") == "full":
        assert not batch["segment_ids"].any()
        assert (
            one.train_batches(Masking(max_predictions=5), one.train_count, 1, 0)["input_mask"].mean() > 0.99
        )


def test_compression_changes_no_batch(tmp_path: Path, tokenizer: Path, written: Path) -> None:
    plain = SETTINGS.model_copy(update={"compression": "none"})
    writer.write(corpus(tmp_path / "corpus", documents(300)), tokenizer, tmp_path / "records", plain, 20, 1)
    both = [RecordSet(folder) for folder in (written, tmp_path / "records")]
    for step in (0, 3, 40):
        ours, theirs = (records.train_batches(Masking(max_predictions=5), 200, 1, step) for records in both)
        assert all((ours[name] == theirs[name]).all() for name in ours)
    size = sum(path.stat().st_size for path in written.glob("*-of-*"))
    assert size < 0.6 * sum(path.stat().st_size for path in (tmp_path / "records").glob("*-of-*"))


def test_a_users_words_are_masked_whole(tmp_path: Path, tokenizer: Path, written: Path) -> None:
    (tmp_path / "words.txt").write_text("河的北岸\n", encoding="utf-8")
    texts, words = corpus(tmp_path / "corpus", documents(300)), tmp_path / "words.txt"
    writer.write(texts, tokenizer, tmp_path / "records", SETTINGS, 20, 1, dictionary=words)
    before, after = (artifacts.read(folder) for folder in (written, tmp_path / "records"))
    assert before.counts == after.counts
    assert before.settings != after.settings
    flags = []
    for folder in (written, tmp_path / "records"):
        rows, loaded = stored(RecordSet(folder), "train"), tokenization.load(tokenizer)
        of = loaded.tokens.index("北")
        flags.append((rows[(rows & 0x7FFF) == of] >= 0x8000).mean())
    assert flags[0] > 0.9 > 0.1 > flags[1]


def test_another_seed_gives_another_order_of_the_same_records(
    tmp_path: Path, tokenizer: Path, written: Path
) -> None:
    writer.write(
        corpus(tmp_path / "corpus", documents(300)), tokenizer, tmp_path / "records", SETTINGS, 21, 1
    )
    first, second = (stored(RecordSet(folder), "train") for folder in (written, tmp_path / "records"))
    assert (first != second).any()
    assert Counter(map(bytes, first)) == Counter(map(bytes, second))


def test_a_users_words_are_simplified_where_the_corpus_was(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "words.txt").write_text("河的北岸開\n", encoding="utf-8")
    texts = [text.replace("河的北岸", "河的北岸开") for text in documents(300)]
    starts = []
    for script in ("keep", "simplify"):
        source = corpus(tmp_path / f"corpus-{script}", texts, script=script)
        out = tmp_path / f"records-{script}"
        writer.write(source, tokenizer, out, SETTINGS, 20, 1, dictionary=tmp_path / "words.txt")
        rows, of = stored(RecordSet(out), "train"), tokenization.load(tokenizer).tokens.index("北")
        starts.append((rows[(rows & 0x7FFF) == of] >= 0x8000).mean())
    assert starts[0] > 0.9 > 0.1 > starts[1]


@pytest.mark.parametrize(("texts", "split"), [(["小城。"], "train"), (documents(1), "heldout")])
def test_a_corpus_too_small_is_refused_and_leaves_no_artifact(
    tmp_path: Path, tokenizer: Path, texts: list[str], split: str
) -> None:
    with pytest.raises(UserError, match=f"1 documents gave no {split} record"):
        writer.write(corpus(tmp_path / "corpus", texts), tokenizer, tmp_path / "records", SETTINGS, 20, 1)
    assert not artifacts.exists(tmp_path / "records")


def test_a_corpus_without_documents_is_named(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(UserError, match="no documents"):
        writer.write(
            corpus(tmp_path / "corpus", [], files_=0), tokenizer, tmp_path / "records", SETTINGS, 20, 1
        )


def test_a_damaged_shard_is_named(tmp_path: Path, written: Path) -> None:
    import shutil

    copy = tmp_path / "records"
    shutil.copytree(written, copy)
    shard = copy / "train-00001-of-00003.tfrecord"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"train-00001-of-00003\.tfrecord: its block 0 at byte 0 is damaged"):
        RecordSet(copy)
    shard.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"train-00001-of-00003\.tfrecord"):
        RecordSet(copy)


def test_damage_to_a_shard_without_compression_is_named(tmp_path: Path, tokenizer: Path) -> None:
    plain = SETTINGS.model_copy(update={"compression": "none"})
    writer.write(corpus(tmp_path / "corpus", documents(300)), tokenizer, tmp_path / "records", plain, 20, 1)
    shard = tmp_path / "records" / "train-00001-of-00003.tfrecord"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"train-00001-of-00003\.tfrecord.*SHA-256"):
        RecordSet(tmp_path / "records")


def test_an_epoch_gives_every_record_once_and_the_next_in_another_order(written: Path) -> None:
    records = RecordSet(written)
    count = records.train_count
    whole = records.train_batches(Masking(max_predictions=5), 1, 3, 0, count * 2)

    def unmasked(part: slice) -> list[bytes]:
        ids = whole["input_ids"][part].copy()
        row, slot = np.nonzero(whole["masked_weights"][part])
        ids[row, whole["masked_positions"][part][row, slot]] = whole["masked_ids"][part][row, slot]
        return [bytes(row) for row in ids]

    first, second = unmasked(slice(0, count)), unmasked(slice(count, None))
    everything = Counter(bytes((row & 0x7FFF).astype(np.int32)) for row in stored(records, "train"))
    assert Counter(first) == Counter(second) == everything
    assert first != second
