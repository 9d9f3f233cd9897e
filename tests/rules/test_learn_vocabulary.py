"""`learn_vocabulary`: from a corpus to a tokenizer that transformers opens."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mobilebert import settings, tokenization
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from scripts import learn_vocabulary

CHARACTERS = "小城在河的北岸老桥通往东边市场春天山上开满白花商人把茶叶运到海学校有三百名生湖水冬会结冰"


def test_a_corpus_gives_a_tokenizer_of_the_size_asked_for(
    tmp_path: Path, command: Callable[..., None]
) -> None:
    from transformers import AutoTokenizer

    chance = random.Random(3)
    words = ["".join(chance.sample(CHARACTERS, 2)) for _ in range(400)]
    texts = ["，".join("".join(chance.sample(words, 4)) for _ in range(20)) + "。" for _ in range(60)]
    with artifacts.writing(tmp_path / "corpus", "corpus") as writer:
        pq.write_table(
            pa.table({"id": texts, "source": texts, "text": texts}), writer.path("part-00000.parquet")
        )
    given = settings.Settings.model_validate({"vocabulary": {"size": 300}})
    arguments = ["--settings", settings.to_json(given, "vocabulary", "seed"), "--corpus", tmp_path / "corpus"]
    command(learn_vocabulary, *arguments, "--out", tmp_path / "one")
    command(learn_vocabulary, *arguments, "--out", tmp_path / "two")
    assert artifacts.digest(tmp_path / "one") == artifacts.digest(tmp_path / "two")
    ours = tokenization.load(tmp_path / "one")
    assert (ours.kind, ours.size) == ("sentencepiece", 300)
    theirs = AutoTokenizer.from_pretrained(str(tmp_path / "one"))
    assert theirs(texts[0])["input_ids"] == [ours.cls, *ours.encode(texts[0]).ids.tolist(), ours.sep]

    given = settings.Settings.model_validate({"vocabulary": {"size": 60000}})
    with pytest.raises(UserError, match=r"vocabulary\.size: 60000"):
        command(
            learn_vocabulary,
            "--settings",
            settings.to_json(given, "vocabulary", "seed"),
            *arguments[2:],
            "--out",
            tmp_path / "three",
        )
    assert not artifacts.exists(tmp_path / "three")


def test_the_sample_depends_on_the_texts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobilebert.records import pipeline, sampling

    texts = [f"第{n}个文档" * 20 for n in range(500)]
    for name, cuts in (("a", [0, 500]), ("b", [0, 120, 500])):
        (tmp_path / name).mkdir()
        for number, (first, last) in enumerate(itertools.pairwise(cuts)):
            pq.write_table(pa.table({"text": texts[first:last]}), tmp_path / name / f"part-{number}.parquet")
    total = sum(len(text.encode()) for text in texts) / 1e6
    some = list(sampling.documents(tmp_path / "a", total / 4, 1, tmp_path / "out"))
    assert some == list(sampling.documents(tmp_path / "b", total / 4, 1, tmp_path / "out"))
    assert 80 < len(some) < 170
    assert list(sampling.documents(tmp_path / "a", total * 2, 1, tmp_path / "out")) == texts
    assert some != list(sampling.documents(tmp_path / "a", total / 4, 2, tmp_path / "out"))
    monkeypatch.setattr(pipeline, "BLOCK_BYTES", 1000)
    assert some == list(sampling.documents(tmp_path / "b", total / 4, 1, tmp_path / "out"))
    assert not (tmp_path / "out.work").exists()
