"""Vocabularies that others made."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files, importing

TOKENS = [*SPECIAL, "中", "国", "tea", "##s"]
CONTENT = ("\n".join(TOKENS) + "\n").encode()


def written(folder: Path, source: Path) -> tokenization.Tokenizer:
    with artifacts.writing(folder, "tokenizer") as writer:
        files.write(writer, *importing.find(source))
    return tokenization.load(folder)


def test_a_vocabulary_file_is_copied_byte_for_byte_and_transformers_opens_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    source = tmp_path / "vocab.txt"
    source.write_bytes(CONTENT)
    ours = written(tmp_path / "out", source)
    assert (tmp_path / "out" / "vocab.txt").read_bytes() == CONTENT
    assert ours.lowercase
    theirs = AutoTokenizer.from_pretrained(str(tmp_path / "out"))
    text = "中国Teas，Xyz中"
    assert theirs(text)["input_ids"] == [ours.cls, *ours.encode(text).ids.tolist(), ours.sep]
    assert theirs.mask_token_id == ours.mask


def test_all_capitals_in_a_vocabulary_mean_cased_text(tmp_path: Path) -> None:
    source = tmp_path / "vocab.txt"
    source.write_bytes(CONTENT + b"Tea\n" + "\n".join([*string.ascii_uppercase, ""]).encode())
    ours = written(tmp_path / "out", source)
    assert not ours.lowercase
    assert ours.encode("Tea").ids.tolist() == [len(TOKENS)]


def test_a_directory_says_its_own_casing(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(CONTENT)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}), encoding="utf-8")
    assert importing.find(tmp_path) == ("wordpiece", CONTENT, False, None)


def test_a_directory_that_transformers_saved_brings_the_same_ids(tmp_path: Path) -> None:
    from transformers import BertTokenizerFast

    (tmp_path / "vocab.txt").write_bytes(CONTENT)
    BertTokenizerFast.from_pretrained(str(tmp_path), do_lower_case=True).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "vocab.txt").unlink(missing_ok=True)
    assert importing.find(tmp_path / "saved") == ("wordpiece", CONTENT, True, None)


def test_our_own_artifact_can_be_the_source(tmp_path: Path) -> None:
    source = tmp_path / "vocab.txt"
    source.write_bytes(CONTENT)
    first = written(tmp_path / "first", source)
    assert written(tmp_path / "second", tmp_path / "first").digest == first.digest


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{}", r"neither vocab\.txt nor tokenizer\.json"),
        ("tokenizer.json", '{"model": {"type": "BPE"}}', r"tokenizer\.json.*'BPE'.*WordPiece"),
        ("tokenizer.json", "{", r"tokenizer\.json: not readable as JSON"),
    ],
)
def test_what_cannot_be_imported_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        importing.find(tmp_path)


def test_an_absent_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        importing.find(tmp_path / "nowhere")


def test_a_damaged_tokenizer_folder_is_named(tmp_path: Path) -> None:
    source = tmp_path / "vocab.txt"
    source.write_bytes(CONTENT)
    written(tmp_path / "out", source)
    (tmp_path / "out" / "vocab.txt").write_bytes(CONTENT + b"more\n")
    with pytest.raises(UserError, match=r"10 tokens, but vocabulary\.json says 9"):
        tokenization.load(tmp_path / "out")
