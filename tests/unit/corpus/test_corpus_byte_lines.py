"""Lines of files: each exactly once, whatever the block size, line end and encoding."""

from __future__ import annotations

import json

import pytest

from tests.unit.corpus.test_corpus_readers import PROSE, read


def rows(count: int) -> bytes:
    return "".join(
        json.dumps({"id": f"d{n}", "text": f"第{n}篇。" + PROSE * (n % 4)}, ensure_ascii=False) + "\n"
        for n in range(count)
    ).encode()


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 333, 4096, 1 << 20])
def test_every_json_line_is_read_once_at_any_block_size(tmp_path, block_bytes):
    path = tmp_path / "a b'{}.jsonl"
    path.write_bytes(rows(40))
    assert [found.name for found in read(path, "jsonl", block_bytes)] == [f"d{n}" for n in range(40)]


@pytest.mark.parametrize("block_bytes", [1, 5, 64, 200, 1 << 20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_documents_between_empty_lines_are_read_once_at_any_block_size(tmp_path, block_bytes, line_end):
    texts = [[f"第{n}篇第{k}句。" for k in range(1 + n % 3)] for n in range(30)]
    body = (line_end * 2).join(line_end.join(lines) for lines in texts)
    path = tmp_path / "x.txt"
    path.write_bytes(
        (
            line_end * 3
            + body.replace(f"第7篇第0句。{line_end}", f"第7篇第0句。{line_end}", 1)
            + line_end * 2
        ).encode()
    )
    assert [found.text.split() for found in read(path, "lines", block_bytes)] == texts


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "utf-8-sig"])
def test_json_lines_in_other_encodings(tmp_path, encoding):
    path = tmp_path / "x.jsonl"
    path.write_bytes(rows(200).decode().encode(encoding))
    found = read(path, "jsonl", 3000)
    assert [each.name for each in found] == [f"d{n}" for n in range(200)]
    assert found[3].text == "第3篇。" + PROSE * 3


def test_a_broken_line_of_utf8_does_not_cost_its_neighbours(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(f"{PROSE}\n\n{PROSE}".encode() + b"\xff\n\n" + f"{PROSE}\n{PROSE}\n".encode())
    assert [found.text.count("\ufffd") for found in read(path, "lines")] == [0, 1, 0]
