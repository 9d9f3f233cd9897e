"""Paragraphs that many documents share, through the whole pipeline, and their hashes against the
definition.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from mobilebert.corpus.dedup import block_store, paragraphs
from tests.unit.corpus.test_corpus_pipeline import documents, jsonl, prose, run

NOTICE = "本网站的全部内容，包括文字和图片，都由网站的编辑们写成，第{:02d}版。"
TALE = "从前有一座山，山里有一座庙，庙里有一个人在说故事。"


def plain(line: str) -> str:
    """The form of a paragraph, by the definition."""
    return re.sub(r"[ -/:-@\[-`{-~]", "", re.sub(r"[0-9]", "0", line.lower()))


def test_lines_have_one_hash_if_their_letters_are_one():
    random_ = random.Random(1)
    signs = "山水天AB b9a1、。,."
    lines = ["".join(random_.choices(signs, k=random_.randint(1, 24))) for _ in range(4000)]
    lines += (
        ["".join(random_.choices("甲乙", k=14)) for _ in range(4000)]
        + [NOTICE.format(7), NOTICE.format(8)]
        + ["字" * 200_000]
    )
    found = paragraphs.hashes("\n".join(lines).encode()).tolist()
    forms = [plain(line) if len(plain(line).encode()) >= paragraphs.LEAST_BYTES else "" for line in lines]
    assert len(found) == len(lines)
    assert len(set(zip(found, forms, strict=True))) == len(set(found)) == len(set(forms))
    assert [value == 0 for value in found] == [form == "" for form in forms]
    assert Counter(forms)[plain(NOTICE.format(7))] == 2


@pytest.fixture
def shared(tmp_path) -> Path:
    """Twelve documents with a notice, four that hardly say more, two with a tale, and copies of one
    document.
    """
    long = [f"{prose(n)}\n{NOTICE.format(n)}\n{prose(n + 100)}" for n in range(12)]
    short = [f"{NOTICE.format(n)}\n第{word}章第{n}节到此结束。" for n, word in enumerate("甲乙丙丁")]
    tales = [f"{TALE}\n{prose(n)}" for n in (50, 51)]
    path = tmp_path / "x.jsonl"
    path.write_text(jsonl([*long, *short, *tales, *[f"{prose(60)}\n{prose(61)}"] * 40]), encoding="utf-8")
    return path


def cleaned(tmp_path: Path, path: Path, **settings) -> dict:
    """The total of funnel.json."""
    return run(tmp_path, ("x", path), near_duplicates=False, **settings)["total"]


@pytest.mark.parametrize("most", [11, 15])
def test_a_paragraph_that_too_many_documents_have_goes_from_all_of_them(tmp_path, shared, most):
    funnel = cleaned(tmp_path, shared, max_paragraph_documents=most)
    kept = {row["id"]: row["text"] for row in documents(tmp_path / "corpus")}
    assert [kept[f"n{n}"] for n in range(12)] == [f"{prose(n)}\n{prose(n + 100)}" for n in range(12)]
    assert kept["n16"] == f"{TALE}\n{prose(50)}"
    assert kept["n18"] == f"{prose(60)}\n{prose(61)}"  # its 40 copies are gone as such
    assert not {"n12", "n13", "n14", "n15"} & set(kept)
    size = sum(len(NOTICE.format(n).encode()) for n in (*range(12), *range(4)))
    assert funnel["lines"] == {"shared": {"lines": 16, "bytes": size}}
    assert {reason: entry["documents"] for reason, entry in funnel["reasons"].items()} == {
        "exact_duplicate": 39,
        "shared_paragraphs": 4,
    }
    assert funnel["out"] == {
        "documents": len(kept),
        "bytes": sum(len(text.encode()) for text in kept.values()),
    }
    rejects = {
        row["id"]: row
        for row in documents(tmp_path / "corpus" / "rejects")
        if row["reason"] == "shared_paragraphs"
    }
    assert rejects["n13"]["text"] == f"{NOTICE.format(1)}\n第乙章第1节到此结束。"


@pytest.mark.parametrize("most", [16, None])
def test_a_paragraph_that_fewer_have_stays(tmp_path, shared, most):
    funnel = cleaned(tmp_path, shared, max_paragraph_documents=most)
    assert funnel["lines"] == {}
    assert funnel["out"]["documents"] == 12 + 4 + 2 + 1


def test_verdicts_do_not_depend_on_batches(tmp_path, shared):
    small, whole = (
        cleaned(tmp_path, shared, out=out, max_paragraph_documents=11, block_megabytes=megabytes)
        for out, megabytes in (("small", 0.001), ("whole", 2))
    )
    assert small == whole
    assert {row["id"]: row["text"] for row in documents(tmp_path / "small")} == {
        row["id"]: row["text"] for row in documents(tmp_path / "whole")
    }


def test_counts_of_all_batches_are_added_up(tmp_path, shared, monkeypatch):
    monkeypatch.setattr(block_store, "TOGETHER", 2)
    assert (
        cleaned(tmp_path, shared, max_paragraph_documents=15, block_megabytes=0.001)["lines"]["shared"][
            "lines"
        ]
        == 16
    )
