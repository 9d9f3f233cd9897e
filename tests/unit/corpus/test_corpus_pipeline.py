"""The whole way from sources to the corpus artifact, on small trees with odd files."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mobilebert.corpus import funnel
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Corpus, Source
from mobilebert.storage import artifacts, row_groups

WORDS = (
    "山水人家天地风云花鸟鱼虫春夏秋冬东西南北红黄蓝绿金木土火日月星石路桥城门房车船书画琴棋诗酒茶饭米面油盐"
)


def prose(seed: int) -> str:
    """About 150 characters that read like Chinese to the filters, different for every seed."""
    pieces = [
        f"{WORDS[(seed * 7 + k * 13) % 48]}{WORDS[(seed * 5 + k * 11 + k // 7) % 48]}的"
        f"{WORDS[(seed // 48 + k * k) % 48]}是{seed * 31 + k * 47}号，"
        for k in range(12)
    ]
    return "我们说过，" + "".join(pieces) + "这就是了。"


def jsonl(texts: list[str]) -> str:
    return "".join(
        json.dumps({"id": f"n{n}", "text": text}, ensure_ascii=False) + "\n" for n, text in enumerate(texts)
    )


@pytest.fixture
def tree(tmp_path) -> Path:
    folder = tmp_path / "原 文 {'}"
    (folder / "子").mkdir(parents=True)
    texts = [prose(n) for n in range(60)]
    (folder / "a.jsonl").write_text(
        jsonl(
            [*texts, texts[3], texts[4] + "尾。", "短。", "English only. " * 20, prose(70) + "\n京ICP备1号"]
        ),
        encoding="utf-8",
    )
    (folder / "子" / "gbk.txt").write_bytes((prose(100) + "在他们的地方，这也是一个人说的话。").encode("gbk"))
    (folder / "子" / "empty.txt").write_bytes(b"")
    (folder / "子" / "nul.txt").write_bytes(bytes(range(256)) * 10)
    (folder / "子" / "cut.txt.gz").write_bytes(gzip.compress(os.urandom(10_000))[:5000])
    (folder / "子" / "surrogate.jsonl").write_text(
        '{"text": "' + prose(102) + '\\ud83d"}\n', encoding="utf-8"
    )
    return folder


def run(
    tmp_path: Path, *sources: tuple[str, object], out: str = "corpus", threads: int = 1, **settings
) -> dict:
    listed = [Source.model_validate({"name": name, "from": str(place)}) for name, place in sources]
    list_sources(listed, tmp_path / "sources", None, [])
    clean_corpus(tmp_path / "sources", tmp_path / out, Corpus.model_validate(settings), threads)
    artifacts.read(tmp_path / out, "corpus")
    return json.loads((tmp_path / out / "funnel.json").read_text(encoding="utf-8"))


def documents(folder: Path, part: str = "part-*.parquet") -> list[dict]:
    return [row for path in sorted(folder.glob(part)) for row in pq.read_table(path).to_pylist()]


def test_documents_are_kept_dropped_and_counted(tmp_path, tree):
    (tree / "子" / "long.txt").write_text(prose(101) * 22_000, encoding="utf-8")  # one line of 10 MB
    funnel = run(tmp_path, ("tree", tree))
    counts = funnel["sources"]["tree"]
    assert {reason: entry["documents"] for reason, entry in counts["reasons"].items()} == {
        "binary": 1,
        "exact_duplicate": 1,
        "low_han_share": 1,
        "near_duplicate": 1,
        "repeated_ngrams": 7,  # long.txt comes in parts
        "too_short": 1,
    }
    assert counts["in"]["documents"] == 65 + 3 + 7
    assert counts["in"]["documents"] == counts["out"]["documents"] + sum(
        entry["documents"] for entry in counts["reasons"].values()
    )
    assert counts["lines"] == {"boilerplate": {"lines": 1, "bytes": len("京ICP备1号".encode())}}
    assert [Path(entry["file"]).name for entry in counts["unreadable"]] == ["cut.txt.gz"]
    assert funnel["total"] == counts

    kept = documents(tmp_path / "corpus")
    assert list(kept[0]) == ["id", "source", "text", "exact_copies", "near_copies"]
    assert [row["id"] for row in kept[:5]] == [
        "n0",
        "n1",
        "n2",
        "n3",
        "n5",
    ]  # n4 is the shorter one of its pair
    texts = {row["id"]: row["text"] for row in kept}
    assert texts["n61"] == prose(4) + "尾。"
    assert texts["n64"] == prose(70)
    assert sum(len(row["text"].encode()) for row in kept) == counts["out"]["bytes"]
    assert any("地方，这也是一个人说的话。" in row["text"] for row in kept)
    assert any(row["text"].endswith("\ufffd") for row in kept)
    assert not list(tmp_path.glob("*.work"))

    rejects = documents(tmp_path / "corpus" / "rejects")
    assert {
        row["reason"]: row["id"]
        for row in rejects
        if row["reason"] in {"exact_duplicate", "near_duplicate", "low_han_share"}
    } == {
        "exact_duplicate": "n60",
        "near_duplicate": "n4",
        "low_han_share": "n63",
    }


def test_block_size_changes_files_not_documents(tmp_path, tree):
    first = run(tmp_path, ("tree", tree), out="one")
    second = run(tmp_path, ("tree", tree), out="two", block_megabytes=0.002)
    assert first == second
    names = [{(row["source"], row["text"]) for row in documents(tmp_path / out)} for out in ("one", "two")]
    assert names[0] == names[1]
    tables = [(tmp_path / out / "files.tsv").read_text(encoding="utf-8") for out in ("one", "two")]
    assert tables[0] == tables[1]


def test_rejects_are_a_bounded_sample_or_all(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        jsonl([f"短文的第{n}篇。" for n in range(30)] + [prose(n) for n in range(5)]), encoding="utf-8"
    )
    for most, expected in ((7, 7), ("all", 30), (0, 0)):
        run(tmp_path, ("x", path), rejects_per_reason=most)
        assert len(documents(tmp_path / "corpus" / "rejects")) == expected


def test_all_rejects_are_written_some_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_text(
        jsonl([f"短文的第{n}篇。" for n in range(300)] + [prose(n % 5) for n in range(50)]), encoding="utf-8"
    )
    run(tmp_path, ("x", path), rejects_per_reason="all")
    monkeypatch.setattr(funnel, "_HELD_CHARACTERS", 100)
    run(tmp_path, ("x", path), out="few", rejects_per_reason="all")
    (first, second) = (
        sorted((row["id"], row["reason"]) for row in documents(tmp_path / out / "rejects"))
        for out in ("corpus", "few")
    )
    assert first == second
    assert len(first) == 345
    (file,) = (tmp_path / "few" / "rejects").glob("*")
    assert pq.ParquetFile(file).num_row_groups > 10


def test_rejects_without_text_are_not_gathered_without_end():
    written: list[int] = []
    rejects = funnel.Rejects("all", lambda rows: written.append(len(rows)))
    for number in range(50_000):
        rejects.add(funnel.Reject(str(number), "x", "empty", ""))
    rejects.flush()
    assert max(written) <= 20_001
    assert sum(written) == rejects.written == 50_000


def test_row_groups_of_the_corpus_are_read_at_once(tmp_path, tree):
    run(tmp_path, ("tree", tree))
    for path in (tmp_path / "corpus").glob("*.parquet"):
        file = pq.ParquetFile(path)
        groups = range(file.num_row_groups)
        assert [len(batch) for batch in row_groups.batches(file, groups)] == [
            file.metadata.row_group(group).num_rows for group in groups
        ]


def test_near_duplicates_may_stay(tmp_path, tree):
    funnel = run(tmp_path, ("tree", tree), near_duplicates=False)
    assert "near_duplicate" not in funnel["total"]["reasons"]
    assert funnel["total"]["reasons"]["exact_duplicate"]["documents"] == 1


def test_duplicates_are_found_across_sources_and_blocks(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(jsonl([prose(n) for n in range(20)]), encoding="utf-8")
    funnel = run(tmp_path, ("a", tmp_path / "a.jsonl"), ("b", tmp_path / "b.jsonl"), block_megabytes=0.001)
    assert funnel["sources"]["a"]["out"]["documents"] == 20
    assert funnel["sources"]["b"]["reasons"]["exact_duplicate"]["documents"] == 20


def test_traditional_text_is_simplified_on_request(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        jsonl(
            [
                "在這個故事裡，我們的主人公來到了一座沒有名字的城市，後來他就不想走了，一住就是三十年，這裡的人都對他很好，他也對這裡的人很好。"
            ]
        ),
        encoding="utf-8",
    )
    run(tmp_path, ("x", path), script="simplify")
    assert documents(tmp_path / "corpus")[0]["text"].startswith("在这个故事里，我们的主人公来到了")


def test_a_file_that_cannot_be_read_stops_the_run_on_request(tmp_path, tree):
    with pytest.raises(UserError, match=r"cut\.txt\.gz: .*set corpus.on_error to skip"):
        run(tmp_path, ("tree", tree), on_error="stop")
    assert not artifacts.exists(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("\n", "x has no document at all"),
        ('{"text": "短。"}\n', "nothing is left of 1 documents .*too_short 1"),
        ('{"title": "x"}', "no_text_field 1"),
    ],
)
def test_an_input_that_yields_nothing_stops_with_the_reason(tmp_path, body, message):
    (tmp_path / "x.jsonl").write_text(body, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        run(tmp_path, ("x", tmp_path / "x.jsonl"))
    assert not artifacts.exists(tmp_path / "corpus")


def test_given_documents_are_not_cleaned_again(tmp_path, tree):
    with pytest.raises(UserError, match=r"corpus\.from"):
        run(tmp_path, ("tree", tree), **{"from": "elsewhere"})
