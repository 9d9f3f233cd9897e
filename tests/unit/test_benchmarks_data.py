"""The parts of `make bench-data`, without its peers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.data import classic, report
from mobilebert import settings, smallworld
from mobilebert.corpus.sources import listing
from mobilebert.storage import artifacts
from mobilebert.tokenization import files
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = "北京大学的学生说：“Hello, World 2024！”后来他们去了学校，第二天才回来。大家都很高兴，一起唱歌。"


@pytest.fixture(scope="module")
def vocabulary() -> list[str]:
    pieces = ["hello", "world", "20", "##24"]
    return [*SPECIAL, *pieces, *sorted(set(TEXT.lower()) - {" "})]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, vocabulary: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    with artifacts.writing(folder / "world", "small_world") as writer:
        smallworld.generate(writer, settings.SmallWorld(megabytes=0.2, questions=20, reviews=20), 3)
    source = settings.Source.model_validate(
        {"name": "world", "from": str(folder / "world" / "documents" / "*.jsonl")}
    )
    listing.list_sources([source], folder / "sources", None, [])
    with artifacts.writing(folder / "tokenizer", "tokenizer") as writer:
        files.write(writer, "wordpiece", "\n".join([*vocabulary, ""]).encode(), True)
    return folder


def test_the_bare_loop_writes_the_bytes_that_beam_writes(bench: Path, root: Path) -> None:
    found = []
    for how in ("bare", "beam"):
        command = [
            sys.executable,
            "-m",
            "benchmarks.data.ours",
            "stages",
            str(bench),
            "1",
            how,
            str(bench / "sources"),
        ]
        found.append(
            json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)
        )
    assert found[0]["digests"] == found[1]["digests"]
    assert 0 < found[0]["text"] <= found[0]["kept"]
    assert found[0]["clean"] > 0


def test_the_reference_tokenizes_as_we_do(vocabulary: list[str]) -> None:
    known = {token: number for number, token in enumerate(vocabulary)}
    pieces = [piece for sentence in classic.sentences(TEXT, known) for piece in sentence]
    assert [known[piece] for piece in pieces] == WordPieceTokenizer(vocabulary, True).encode(
        TEXT
    ).ids.tolist()


def test_the_reference_masks_whole_words_within_its_share(vocabulary: list[str]) -> None:
    known = {token: number for number, token in enumerate(vocabulary)}
    words = ["北京", "大学", "学生", "他们", "学校", "回来", "大家", "高兴"]

    def cut(text: str) -> list[str]:
        return [word for word in words if word in text]

    document = [classic.segment(pieces, cut) for pieces in classic.sentences(TEXT, known)]
    assert document[0][:6] == ["北", "##京", "大", "##学", "的", "学"]
    examples = list(classic.pairs([document], document, 0, random.Random(1), vocabulary))
    assert examples
    for example in examples:
        assert len(example["pieces"]) <= classic.MAX_LENGTH
        assert 0 < len(example["positions"]) <= max(1, round(0.15 * len(example["pieces"])))
        assert not any(label.startswith("##") and label not in known for label in example["labels"])


def test_seconds_of_children_are_counted(tmp_path: Path) -> None:
    measuring.run([sys.executable, "-c", "print('{}')"], [0], tmp_path)  # takes in what other tests left
    work = "sum(range(10**7)); print('{}')"
    alone = measuring.run([sys.executable, "-c", work], [0], tmp_path)
    both = measuring.run(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"],
        [0],
        tmp_path,
    )
    assert both["tree"] > 0.5 * alone["tree"] > 0
    with pytest.raises(RuntimeError, match="boom"):
        measuring.run([sys.executable, "-c", "raise SystemExit('boom')"], [0], tmp_path)


def test_the_page_says_what_is_met_and_what_is_not() -> None:
    sizes = {"large": 300e6, "small": 100e6, "slice": 3e6, "steps": 20e6}
    told = {"import": 1.0, "clean": 2.0, "records": 3.0, "wall": 9.0, "kept": 9, "text": 9, "bytes": 6}
    whole = {name: [{"tree": tree, **told} for tree in (10.0, 30.0, 12.5)] for name in ("bare", "beam 1")}
    arms = {"classic, dupe 1": [{"cpu": 3.0}], "classic, dupe 10": [{"cpu": 4.0}]}
    page = report.page(
        {
            name: {"machine": "a machine", "sizes": sizes, "arms": part}
            for name, part in (("peers", arms), ("loops", whole))
        }
    )
    assert (
        "3 of 5 are met; missed: times the classic preparation, dupe 10 (32.0, at least 40); records, bytes"
        in page
    )
    assert "| end to end, MB a second and core | 24.00 | at least 5 | met |" in page
    assert "| times the classic preparation, dupe 1 | 24.0 | at least 18 | met |" in page
    assert "| times the classic preparation, dupe 10 | 32.0 | at least 40 | **not met** |" in page
    assert "| ours, end to end | 24.00 | 10.00 to 30.00 |" in page
    assert "datatrove |" not in page
