"""A small corpus with duplicates, cut into many elements, and what both pipelines make of it in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.dataflow import running
from mobilebert.records import pipeline, writer
from mobilebert.settings import Beam, Corpus, Records, Source
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files

WORDS = (
    "山水人家天地风云花鸟鱼虫春夏秋冬东西南北红黄蓝绿金木土火日月星石路桥城门房车船书画琴棋诗酒茶饭米面油盐"
)
CORPUS = Corpus(block_megabytes=0.005, max_paragraph_documents=50)
RECORDS = Records(sequence_length=32, heldout_share=0.1, shards=3)


def prose(seed: int) -> str:
    """About 150 characters that read like Chinese to the filters, different for every seed."""
    pieces = [
        f"{WORDS[(seed * 7 + k * 13) % 48]}{WORDS[(seed * 5 + k * 11 + k // 7) % 48]}的"
        f"{WORDS[(seed + k * k) % 48]}是{seed * 31 + k * 47}号，"
        for k in range(12)
    ]
    return "我们说过，" + "".join(pieces) + "这就是了。"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources artifact of 200 documents in two files, some of them twice and nearly twice."""
    folder = tmp_path_factory.mktemp("pipelines")
    texts = (
        [prose(n) for n in range(150)]
        + [prose(n) for n in range(20)]
        + [prose(n) + "尾。" for n in range(40, 70)]
    )
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    (folder / "in").mkdir()
    (folder / "in" / "a.jsonl").write_text("\n".join(lines[:150]) + "\n", encoding="utf-8")
    (folder / "in" / "b 号.jsonl").write_text("\n".join(lines[150:]) + "\n", encoding="utf-8")
    list_sources(
        [Source.model_validate({"name": "s", "from": str(folder / "in")})], folder / "sources", None, []
    )
    return folder / "sources"


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer artifact for the corpus."""
    folder = tmp_path_factory.mktemp("tokenizer")
    entries = [*SPECIAL, *sorted(set(WORDS + "我们说过，的是号这就了。尾0123456789"))]
    with artifacts.writing(folder, "tokenizer") as made:
        files.write(made, "wordpiece", "\n".join(entries).encode(), True)
    return folder


@pytest.fixture(scope="session")
def both(sources: Path, tokenizer: Path) -> Callable[..., dict[str, bytes]]:
    """Run both pipelines; gives all files of both artifacts."""

    def made(folder: Path, where: Beam | None = None, threads: int = 1) -> dict[str, bytes]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "BLOCK_BYTES", 4000)
            patch.setattr(running, "BYTES_WORTH_A_WORKER", 1)
            clean_corpus(sources, folder / "corpus", CORPUS, threads, where or Beam())
            writer.write(
                folder / "corpus", tokenizer, folder / "records", RECORDS, 20, threads, where or Beam()
            )
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert {"corpus/manifest.json", "records/manifest.json"} <= found.keys()
        assert not list(folder.glob("*.work"))
        return found

    return made


@pytest.fixture(scope="session")
def expected(
    both: Callable[..., dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """All files that the pipelines make in process."""
    return both(tmp_path_factory.mktemp("expected"))
