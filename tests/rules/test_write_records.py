"""`write_records`: corpus and tokenizer become records whose meaning is the corpus's text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mobilebert import tokenization
from mobilebert.records.dataset import RecordSet
from mobilebert.settings import Masking
from mobilebert.storage import artifacts
from scripts import write_records


def test_records_hold_the_documents_of_the_corpus(
    chain: Any, command: Callable[..., None], tmp_path: Path
) -> None:
    settings = chain.settings(
        "records", "seed", records={"heldout_share": 0.2, "shards": 2, "layout": "pairs"}
    )
    command(
        write_records,
        "--settings",
        settings,
        "--corpus",
        chain.corpus,
        "--tokenizer",
        chain.tokenizer,
        "--out",
        tmp_path / "out",
    )
    manifest = artifacts.read(tmp_path / "out", "records")
    names = {
        "records.json",
        "heldout-00000-of-00001.tfrecord",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    }
    assert set(manifest.files) == names | {
        name.replace(".tfrecord", ".blocks") for name in names if name != "records.json"
    }
    assert "from" not in manifest.settings
    assert set(manifest.inputs) == {"corpus", "tokenizer"}

    texts = "\n".join(pq.read_table(chain.corpus / "part-00000.parquet")["text"].to_pylist())
    records, tokenizer = RecordSet(tmp_path / "out"), tokenization.load(chain.tokenizer)
    body = json.loads((tmp_path / "out" / "records.json").read_text(encoding="utf-8"))
    assert body["sequence_length"] == 32
    assert sum(body["train"]) == records.train_count > 2 * records.heldout_count > 0
    batch = records.train_batches(Masking(max_predictions=5), 16, 1, 0)
    for row in range(16):
        ids = batch["input_ids"][row].copy()
        predicted = batch["masked_weights"][row] > 0
        ids[batch["masked_positions"][row][predicted]] = batch["masked_ids"][row][predicted]
        first = ids.tolist().index(tokenizer.sep)
        second = ids.tolist().index(tokenizer.sep, first + 1)
        assert tokenizer.decode([*ids[1:first], *ids[first + 1 : second]]) in texts
        assert batch["segment_ids"][row].tolist() == [int(first < n <= second) for n in range(32)]
