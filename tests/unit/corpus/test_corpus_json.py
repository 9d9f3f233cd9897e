"""JSON that is no JSON lines: arrays and tables are read as a stream, and damage is counted alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import byte_lines, json_values, streams
from mobilebert.corpus.readers.by_format import documents
from mobilebert.corpus.readers.document import RawDocument
from mobilebert.corpus.sources import detect_format

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好。"
ROWS = [{"content": f"第{n}篇。{PROSE}", "likes": n} for n in range(4)]
TEXTS = [row["content"] for row in ROWS]


def read(path: Path, field: str | tuple[str, ...] = "content", format: str = "json") -> list[RawDocument]:
    return list(documents(plan.FileRange("s", 0, str(path), format, field, 0, name=path.name)))


def dumped(value: object, **more) -> str:
    return json.dumps(value, ensure_ascii=False, **more)


SHAPES = {
    "array": dumped(ROWS),
    "indented": dumped(ROWS, indent=2),
    "a line an element": "[\n" + ",\n".join(map(dumped, ROWS)) + "\n]\n",
    "strings": dumped(TEXTS),
    "concatenated": "\n".join(dumped(row, indent=1) for row in ROWS),
    "in a member": dumped({"version": 2, "data": ROWS}),
    "by key": dumped({f"d{n}": row for n, row in enumerate(ROWS)}),
    "pandas columns": dumped({name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}),
    "lists of columns": dumped({name: [row[name] for row in ROWS] for name in ROWS[0]}),
    "pandas split": dumped(
        {"columns": list(ROWS[0]), "index": [*range(4)], "data": [list(row.values()) for row in ROWS]}
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_documents_are_read_in_every_shape(tmp_path, shape):
    path = tmp_path / "x.json"
    path.write_text(SHAPES[shape], encoding="utf-8")
    assert detect_format.recognise(str(path), "content").format == "json"
    assert [(each.name, each.text) for each in read(path)] == [
        (f"x.json#{n}", text) for n, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16", "big5"])
def test_an_array_is_read_in_any_encoding_and_compressed(tmp_path, encoding):
    path = tmp_path / "x.json.gz"
    text = SHAPES["array"]
    if encoding == "big5":
        text = text.translate(dict.fromkeys(map(ord, "这来没个后"), "在"))
    path.write_bytes(gzip.compress(text.encode(encoding, "ignore")))
    assert [each.text.startswith(f"第{n}篇。在") for n, each in enumerate(read(path))] == [True] * 4


def test_an_element_has_its_own_id(tmp_path):
    (tmp_path / "x.json").write_text(dumped([{"id": 7, "content": PROSE}]), encoding="utf-8")
    assert [each.name for each in read(tmp_path / "x.json")] == ["7"]


def test_what_python_writes_beyond_the_standard_is_read(tmp_path):
    text = dumped([{"content": PROSE, "score": float("nan"), "n": 10**30}, {"content": PROSE + "\ud83d"}])
    (tmp_path / "x.json").write_text(text.replace("故事", "故\t事"), encoding="utf-8", errors="surrogatepass")
    assert [each.reason for each in read(tmp_path / "x.json")] == [None, None]


def test_a_broken_element_is_counted_and_the_next_is_read(tmp_path):
    lines = [dumped(row) for row in ROWS]
    lines[1] = lines[1].replace('"likes"', "likes")
    (tmp_path / "x.json").write_text("[" + ",\n".join(lines) + "]", encoding="utf-8")
    found = read(tmp_path / "x.json")
    assert [each.reason for each in found] == [None, "invalid_json", None, None]
    assert [each.text for each in found if not each.reason] == [TEXTS[0], *TEXTS[2:]]


@pytest.mark.parametrize("cut", [-1, -30])
def test_a_cut_array_gives_what_came_before_and_says_so(tmp_path, cut):
    (tmp_path / "x.json").write_text(SHAPES["array"][:cut], encoding="utf-8")
    found: list[RawDocument] = []
    piece = plan.FileRange("s", 0, str(tmp_path / "x.json"), "json", "content", 0)
    with pytest.raises(streams.Unreadable, match="the file ends"):
        found.extend(documents(piece))
    assert [each.text for each in found] == TEXTS[: len(found)]
    assert len(found) >= 3


def test_a_long_array_is_never_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_values, "_MAX_CHARACTERS", 2000)
    monkeypatch.setattr(json_values, "_READ", 500)
    rows = [{"content": PROSE * (n % 5 + 1)} for n in range(200)]
    for name, text in (("array", dumped(rows)), ("member", dumped({"total": 200, "rows": rows}, indent=1))):
        (tmp_path / name).write_text(text, encoding="utf-8")
        longest = 0
        with (tmp_path / name).open(encoding="utf-8") as stream:
            values = json_values.Values(stream)
            found = []
            for each in values:
                found.append(each)
                longest = max(longest, len(values._buffer))
        assert found == [(row, True) for row in rows]
        assert longest < 8000


def test_a_value_that_is_too_long_ends_the_file_with_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(json_values, "_MAX_CHARACTERS", 2000)
    monkeypatch.setattr(json_values, "_READ", 500)
    (tmp_path / "x.json").write_text(dumped([ROWS[0], {"content": PROSE * 200}]), encoding="utf-8")
    with pytest.raises(streams.Unreadable, match=r"a JSON value of over .*JSON lines"):
        read(tmp_path / "x.json")


def test_rows_without_the_field_say_what_they_have(tmp_path):
    (tmp_path / "x.json").write_text(dumped(ROWS), encoding="utf-8")
    found = read(tmp_path / "x.json", "text")
    assert [(each.reason, each.detail) for each in found] == [("no_text_field", "content, likes")] * 4
    refused = detect_format.recognise(str(tmp_path / "x.json"), "text")
    assert refused.why == "JSON without a field 'text' (it has content, likes)"


@pytest.mark.parametrize(
    ("row", "field", "text"),
    [
        ({"title": "题", "body": "文"}, ("title", "body"), "题\n文"),
        ({"title": "题", "body": ""}, ("title", "body", "none"), "题"),
        ({"a": {"b": {"c": "深"}}}, "a.b.c", "深"),
        ({"a.b": "平", "a": {"b": "深"}}, "a.b", "平"),
        ({"paragraphs": ["一", "二"]}, "paragraphs", "一\n二"),
        ({"turns": [{"from": "user", "value": "问"}, {"value": "答"}]}, "turns.value", "问\n答"),
    ],
)
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_text_may_be_in_several_fields_or_deep(tmp_path, row, field, text, format):
    body = dumped([row] if format == "json" else row)
    (tmp_path / "x").write_text(body, encoding="utf-8")
    assert [each.text for each in read(tmp_path / "x", field, format)] == [text]


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("x.jsonl", dumped(ROWS, indent=1), "json"),
        ("x.jsonl", dumped(ROWS[0]) + "\n{broken", "jsonl"),
        ("x.jsonl", '{"content": "broken\n' + dumped(ROWS[0]), "jsonl"),
        ("x.json", dumped(ROWS[0]) + "\n" + dumped(ROWS[1]), "jsonl"),
        ("x.json", dumped(ROWS[0], indent=1), "json"),
        ("x", dumped(ROWS), "json"),
    ],
)
def test_arrays_and_lines_are_told_apart(tmp_path, name, text, format):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert detect_format.recognise(str(tmp_path / name), "content").format == format


def test_a_line_of_json_is_bounded_like_any_other():
    assert json_values._MAX_CHARACTERS <= byte_lines.MAX_LINE_BYTES
