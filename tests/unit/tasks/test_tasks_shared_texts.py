"""Texts that the training and the development file of a task share are counted and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobilebert import tasks
from mobilebert.settings import TaskFiles
from mobilebert.storage import artifacts
from mobilebert.tasks import Classification, Reading, shared_texts


def reviews(*texts: str, label: int = 0) -> list[Classification]:
    return [Classification(str(number), text, None, label) for number, text in enumerate(texts)]


def questions(*pairs: tuple[str, str]) -> list[Reading]:
    return [Reading(str(number), context, question, ()) for number, (context, question) in enumerate(pairs)]


def test_equal_texts_are_counted_whatever_their_white_space_and_label():
    train = reviews("很 好。", "不好。", "还行。")
    dev = reviews("很  好。 ", "\t不好。", "很好。", "差。", "不好。", label=1)
    assert shared_texts.count(train, dev) == {"examples": 3}


def test_of_pairs_both_texts_must_be_equal():
    train = [Classification("1", "甲", "乙", 0)]
    dev = [
        Classification("1", "甲", "乙", 1),
        Classification("2", "甲", "丙", 0),
        Classification("3", "乙", "甲", 0),
    ]
    assert shared_texts.count(train, dev) == {"examples": 1}


def test_of_reading_contexts_are_counted_beside_questions():
    train = questions(("甲在家。", "谁？"), ("乙在外。", "谁？"))
    dev = questions(("甲在家。", "谁？"), ("甲在家。", "在哪？"), ("丙在家。", "谁？"))
    assert shared_texts.count(train, dev) == {"examples": 1, "contexts": 1}


@pytest.mark.parametrize(("dev", "shared"), [("很好。", 1), ("很差。", 0)])
def test_the_manifest_and_the_log_tell_of_shared_texts(tmp_path: Path, caplog, dev: str, shared: int):
    for name, text in (("train", "很好。"), ("dev", dev)):
        (tmp_path / f"{name}.tsv").write_text(
            f"label\ttext_a\n1\t{text}\n0\t{name}不好。\n", encoding="utf-8"
        )
    files = TaskFiles(train=str(tmp_path / "train.tsv"), dev=str(tmp_path / "dev.tsv"))
    with artifacts.writing(tmp_path / "out", "task") as writer:
        tasks.prepare(writer, "chnsenticorp", files, None)
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["shared"] == {"examples": shared}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.startswith("chnsenticorp: 1 of 2 examples of dev stand in train") for line in warnings] == [
        True
    ] * shared
