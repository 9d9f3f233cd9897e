"""The records for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobilebert.records.bert_format import classic
from mobilebert.records.dataset import RecordSet
from mobilebert.storage import artifacts
from scripts import export_records


def test_every_record_is_written_as_often_as_the_factor_says(
    chain: Any, command: Callable[..., None], tmp_path: Path
) -> None:
    settings = chain.settings("masking", "records.dupe_factor", "seed", records={"dupe_factor": 2})
    command(export_records, "--settings", settings, "--records", chain.records, "--out", tmp_path / "out")
    manifest = artifacts.read(tmp_path / "out", "bert_records")
    assert manifest.counts["train_sequences"] == 2 * RecordSet(chain.records).train_count
    assert set(manifest.inputs) == {"records"}
    (batch,) = classic.read(tmp_path / "out" / "heldout-00000-of-00001.tfrecord", 32, 5)
    assert (batch["input_ids"][:, 0] == 2).all()
