"""What is told of duplicates: survivors, similarities, sizes of groups; and corpora made against others."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mobilebert.corpus.dedup import block_store, near_duplicates
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Corpus, Source
from mobilebert.storage import artifacts
from tests.unit.corpus.test_corpus_duplicates import plain_jaccard
from tests.unit.corpus.test_corpus_pipeline import documents, prose

Texts = dict[str, str]


def edited(text: str, number: int) -> str:
    """The text with one character in a hundred changed, differently for every number."""
    random_ = random.Random(number)
    at = random_.randrange(20, len(text) - 20)
    return f"{text[:at]}{random_.choice('甲乙丙丁戊己庚辛')}{text[at + 1 :]}"


def corpus(folder: Path, name: str, texts: Texts, **settings: Any) -> Path:
    """A corpus of texts by id, named by the source."""
    path = folder / f"{name}.jsonl"
    rows = [json.dumps({"id": key, "text": text}, ensure_ascii=False) for key, text in texts.items()]
    path.write_text("\n".join(rows), encoding="utf-8")
    list_sources([Source.model_validate({"name": name, "from": str(path)})], folder / "sources", None, [])
    out = folder / f"{name} corpus"
    clean_corpus(folder / "sources", out, Corpus.model_validate(settings), 1)
    artifacts.read(out, "corpus")
    return out


def duplicates(out: Path) -> dict[str, dict]:
    return {row["id"]: row for row in documents(out / "duplicates")}


def report(out: Path) -> dict:
    return json.loads((out / "funnel.json").read_text(encoding="utf-8"))


def texts_of(out: Path) -> set[str]:
    return {row["text"] for row in documents(out)}


@pytest.fixture(params=[2.0, 0.0005], ids=["one block", "a block a document"])
def blocks(request) -> dict[str, Any]:
    """Settings under which documents lie together or apart."""
    return {"block_megabytes": request.param, "rejects_per_reason": "all"}


@pytest.fixture
def group() -> Texts:
    base = prose(1)
    return {
        "copy 1": base,
        "alone": prose(50),
        "longest": base + "尾声。",
        "copy 2": base,
        "near": edited(base, 1),
        "copy of near": edited(base, 1),
        "copy of longest": base + "尾声。",
    }


def test_each_dropped_copy_names_the_document_that_stays(tmp_path, group, blocks):
    told = duplicates(corpus(tmp_path, "x", group, **blocks))
    assert set(told) == set(group) - {"alone", "longest"}
    assert {row["survivor"] for row in told.values()} == {"longest"}
    assert {(row["survivor_source"], row["corpus"]) for row in told.values()} == {("x", "")}
    reasons = {name: row["reason"] for name, row in told.items()}
    assert reasons == {
        "copy 1": "near_duplicate",
        "copy 2": "exact_duplicate",
        "near": "near_duplicate",
        "copy of near": "exact_duplicate",
        "copy of longest": "exact_duplicate",
    }
    for name, row in told.items():
        plain = plain_jaccard(*(strip(text) for text in (group[name], group["longest"])))
        assert row["similarity"] == pytest.approx(plain, abs=1e-6)


def strip(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def test_the_document_that_stays_has_the_size_of_its_group(tmp_path, group, blocks):
    kept = {row["id"]: row for row in documents(corpus(tmp_path, "x", group, **blocks))}
    sizes = {name: (row["exact_copies"], row["near_copies"]) for name, row in kept.items()}
    assert sizes == {"alone": (0, 0), "longest": (1, 4)}


def test_rejects_name_the_survivor_too(tmp_path, group, blocks):
    rejects = {row["id"]: row for row in documents(corpus(tmp_path, "x", group, **blocks) / "rejects")}
    assert rejects["copy of longest"]["detail"] == "x: longest, similarity 1.000"
    assert rejects["near"]["detail"].startswith("x: longest, similarity 0.")


def test_the_largest_groups_are_shown_with_text_and_sources(tmp_path, monkeypatch):
    monkeypatch.setattr("mobilebert.corpus.duplicates.LARGEST", 2)
    texts = {f"{n} {copy}": prose(n) for n in range(4) for copy in range(4 - n)}
    out = corpus(tmp_path, "x", texts, block_megabytes=0.0005)
    assert report(out)["largest_groups"] == [
        {
            "id": f"{n} 0",
            "source": "x",
            "exact": 3 - n,
            "near": 0,
            "text": prose(n)[:200],
            "sources": {"x": 3 - n},
        }
        for n in range(2)
    ]


def test_copies_within_batches_and_between_them_lead_to_the_same_survivor(tmp_path, monkeypatch, group):
    monkeypatch.setattr(block_store, "TOGETHER", 2)
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 10)
    many = {f"{turn} {name}": text for turn in range(5) for name, text in group.items()}
    out = corpus(tmp_path, "x", many, block_megabytes=0.0005)
    assert {row["survivor"] for row in duplicates(out).values()} == {"0 longest", "0 alone"}
    sizes = {row["id"]: (row["exact_copies"], row["near_copies"]) for row in documents(out)}
    assert sizes == {"0 longest": (9, 20), "0 alone": (4, 0)}


# Against another corpus


def old_and_new() -> tuple[Texts, Texts]:
    """Texts of which some of the new are, exactly or nearly, among the old; none is longer than those."""
    old = {f"old {n}": prose(n) + "这是原来的文章。" for n in range(30)}
    new = {f"new {n}": prose(n) for n in range(20, 50)}  # ten near ones
    new |= {f"copy {n}": old[f"old {n}"] for n in range(5)}
    new |= {"twice 1": prose(60), "twice 2": prose(60), "near 60": edited(prose(60), 3)}
    new |= {"again 1": edited(prose(61), 1), "again 2": edited(prose(61), 2)}
    return old, new


def test_a_corpus_against_another_keeps_what_both_together_would_keep(tmp_path, blocks):
    old, new = old_and_new()
    first = corpus(tmp_path, "old", old, **blocks)
    second = corpus(tmp_path, "new", new, against=[str(first)], **blocks)
    both = corpus(tmp_path, "both", old | new, **blocks)
    assert texts_of(first) | texts_of(second) == texts_of(both)
    assert not texts_of(first) & texts_of(second)
    assert report(second)["total"]["reasons"]["in_other_corpus"]["documents"] == 15
    told = duplicates(second)
    digest = artifacts.digest(first)[:12]
    for n in range(20, 30):
        row = told[f"new {n}"]
        assert (row["survivor"], row["survivor_source"], row["corpus"]) == (f"old {n}", "old", digest)
        assert 0.7 < row["similarity"] < 1
    assert {told[f"copy {n}"]["similarity"] for n in range(5)} == {1.0}
    assert artifacts.read(second).inputs["against_0"] == artifacts.digest(first)


def test_a_longer_text_than_its_like_in_the_other_corpus_goes_too(tmp_path):
    first = corpus(tmp_path, "old", {"short": prose(1)})
    second = corpus(
        tmp_path, "new", {"longer": prose(1) + "还有一句话。", "other": prose(9)}, against=[str(first)]
    )
    assert texts_of(second) == {prose(9)}


def test_what_goes_for_another_corpus_takes_nothing_of_its_own_along(tmp_path):
    """`middle` is like both, `far` is not like `old`: with the longest staying, far would go for middle."""
    base = prose(1) + prose(2) + prose(3)
    old, middle, far = base[:300], base[40:340], base[80:380]
    likeness = [
        plain_jaccard(strip(one), strip(other)) for one, other in ((old, middle), (middle, far), (old, far))
    ]
    assert min(likeness[:2]) > 0.7 > likeness[2]
    first = corpus(tmp_path, "old", {"old": old})
    second = corpus(tmp_path, "new", {"middle": middle, "far": far}, against=[str(first)])
    assert texts_of(second) == {far}


def test_several_other_corpora_are_looked_at_and_the_most_similar_text_is_named(tmp_path):
    one = corpus(tmp_path, "one", {"a": edited(prose(1), 1), "b": prose(2)})
    new = {"x": prose(1), "y": prose(2), "z": prose(3), "own": prose(4)}
    two = corpus(tmp_path, "two", {"c": prose(1), "d": prose(3)})
    out = corpus(tmp_path, "new", new, against=[str(one), str(two)])
    assert {name: row["survivor"] for name, row in duplicates(out).items()} == {"x": "c", "y": "b", "z": "d"}
    assert texts_of(out) == {prose(4)}


def test_only_equal_texts_go_where_near_duplicates_may_stay(tmp_path):
    first = corpus(tmp_path, "old", {"a": prose(1), "b": prose(2)}, near_duplicates=False)
    new = {"equal": prose(1), "near": edited(prose(2), 1)}
    out = corpus(tmp_path, "new", new, against=[str(first)], near_duplicates=False)
    assert list(duplicates(out)) == ["equal"]


def test_texts_of_the_other_corpus_are_read_only_where_a_key_is_shared(tmp_path, monkeypatch):
    first = corpus(tmp_path, "old", {f"{n}": prose(n) for n in range(40)}, block_megabytes=0.0005)
    read: list[int] = []
    from mobilebert.corpus.dedup import other_corpora

    text = other_corpora.OtherCorpora.text
    monkeypatch.setattr(
        other_corpora.OtherCorpora, "text", lambda self, number: read.append(number) or text(self, number)
    )
    corpus(tmp_path, "new", {"new": prose(90), "near": edited(prose(7), 1)}, against=[str(first)])
    assert {number & 0xFFFF for number in read} == {7}


def test_the_keys_of_a_corpus_ascend_and_lead_to_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("mobilebert.corpus.dedup.kept_keys._ROWS_AT_ONCE", 7)
    texts = {f"{n}": prose(n % 20) for n in range(30)}
    out = corpus(tmp_path, "x", texts, block_megabytes=0.0005)
    rows = documents(out / "keys")
    keys = [row["key"] for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == 20 * 15
    assert sorted({row["row"] for row in rows}) == list(range(20))
    size = len(list((out / "keys").glob("*.parquet")))
    for number, path in enumerate(sorted((out / "keys").glob("*.parquet"))):
        assert {key * size >> 64 for key in pq.read_table(path)["key"].to_pylist()} <= {number}


def test_an_unfinished_or_other_folder_is_refused_by_name(tmp_path):
    first = corpus(tmp_path, "old", {"a": prose(1)}, near_duplicates=False)
    with pytest.raises(UserError, match=r"corpus\.against: .*/nothing has no manifest"):
        corpus(tmp_path, "new", {"b": prose(2)}, against=[str(tmp_path / "nothing")])
    with pytest.raises(UserError, match=r"corpus\.against: .*/sources is no corpus"):
        corpus(tmp_path, "new", {"b": prose(2)}, against=[str(tmp_path / "sources")])
    with pytest.raises(UserError, match=r"corpus\.against: .*near_duplicates: false"):
        corpus(tmp_path, "new", {"b": prose(2)}, against=[str(first)])
    (first / "keys" / "part-00000.parquet").unlink()
    with pytest.raises(UserError, match=r"keys/part-00000.parquet: missing"):
        corpus(tmp_path, "new", {"b": prose(2)}, against=[str(first)], near_duplicates=False)
