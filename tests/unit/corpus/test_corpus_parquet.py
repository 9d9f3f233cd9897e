"""Parquet: every row once at any block size, or counted with its reason; what does not fit or is damaged
is refused by name.
"""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import byte_lines, document, parquet, streams
from mobilebert.corpus.readers.by_format import documents
from mobilebert.storage import row_groups
from tests.unit.corpus.test_corpus_readers import read as read_file

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好，后来他就不想走了。"


def read(path: Path, block_bytes: int = 1 << 30, **more: object) -> list[document.RawDocument]:
    return read_file(path, "parquet", block_bytes, **more)


def draw_texts(rows: int, size: int = 300) -> list[str]:
    """Texts of up to so many characters, some of them empty."""
    draw = random.Random(rows)
    return ["".join(draw.choices(PROSE, k=draw.randrange(size))) for _ in range(rows)]


def table(path: Path, rows: int, **columns) -> Path:
    made = {
        "id": [f"d{n}" for n in range(rows)],
        "text": [f"第{n}篇。" + PROSE for n in range(rows)],
    } | columns
    pq.write_table(pa.table(made), path, row_group_size=7)
    return path


@pytest.mark.parametrize("block_bytes", [1, 100, 1000, 1 << 30])
def test_rows_of_a_table_are_read_once_at_any_block_size(tmp_path, block_bytes):
    found = read(table(tmp_path / "x.parquet", 60), block_bytes)
    assert [(each.name, each.text) for each in found] == [(f"d{n}", f"第{n}篇。" + PROSE) for n in range(60)]


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_any_column_of_text_will_do(tmp_path, kind):
    column = pa.array([PROSE, None, PROSE], pa.string())
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
    pq.write_table(pa.table({"body": column, "id": [7, 8, 9]}), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet", text_field="body")
    assert [(each.name, each.text, each.reason) for each in found] == [
        ("7", PROSE, None),
        ("8", "", "no_text_field"),
        ("9", PROSE, None),
    ]


def test_bytes_of_a_table_are_decoded_or_refused_one_by_one(tmp_path):
    texts = [PROSE.encode(), (PROSE * 2).encode("gb18030"), b"\xfd\xff\x80" * 20]
    column = pa.Array.from_buffers(
        pa.string(), 3, pa.array(texts, pa.binary()).buffers()
    )  # a writer that did not look
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    assert [each.reason for each in found] == [None, None, "undecodable"]
    assert found[1].text == PROSE * 2
    assert [each.name for each in found] == ["x.parquet#0", "x.parquet#1", "x.parquet#2"]


def test_texts_of_a_table_may_be_marked_up(tmp_path):
    path = table(tmp_path / "x.parquet", 2, text=["# 题\n\n一段*话*。\n", "```\ncode\n```\n"])
    found = read(path, text_format="markdown")
    assert found[0].text.split() == ["题", "一段话。"]
    assert found[1].reason == "no_main_text"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"other": ["x"]}, r"no column text \(but other\); set text_field"),
        ({"text": [1]}, "its column text holds int64, not text"),
    ],
)
def test_a_table_without_the_column_says_what_it_has(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(streams.Unreadable, match=message):
        read(tmp_path / "x.parquet")


def test_a_table_with_two_columns_of_text_says_so(tmp_path):
    pq.write_table(
        pa.Table.from_arrays([pa.array([PROSE]), pa.array([PROSE])], ["text", "text"]), tmp_path / "x.parquet"
    )
    with pytest.raises(streams.Unreadable, match="several columns text"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        (pa.array([2**31 - 1], pa.date32()), "x.parquet#0"),  # no date of Python's
        (pa.array([1], pa.timestamp("us", "Nowhere/At all")), "x.parquet#0"),
        (pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "x.parquet#0"),
        (pa.Array.from_buffers(pa.string(), 1, pa.array([b"a\xff"]).buffers()), "a\\xff"),  # no UTF-8
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([7], pa.uint8()), "7"),
    ],
)
def test_ids_of_a_table_name_its_texts_where_they_can(tmp_path, ids, name):
    pq.write_table(pa.table({"text": [PROSE], "id": ids}), tmp_path / "x.parquet")
    assert [(each.name, each.text) for each in read(tmp_path / "x.parquet")] == [(name, PROSE)]


def test_of_two_columns_of_ids_neither_names_a_text(tmp_path):
    pq.write_table(
        pa.Table.from_arrays([pa.array([PROSE]), pa.array(["a"]), pa.array(["b"])], ["text", "id", "id"]),
        tmp_path / "x.parquet",
    )
    assert [each.name for each in read(tmp_path / "x.parquet")] == ["x.parquet#0"]


@pytest.mark.parametrize("cut", [10, 500, -10])
def test_a_damaged_table_is_unreadable(tmp_path, cut):
    path = table(tmp_path / "x.parquet", 100)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(streams.Unreadable, match="no readable Parquet"):
        read(path)


def test_a_row_that_is_too_long_is_counted_and_those_after_it_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_lines, "MAX_LINE_BYTES", 30_000)
    pq.write_table(pa.table({"text": [PROSE, "字" * 10_001, "文" * 10_000]}), tmp_path / "x")
    assert read(tmp_path / "x") == [
        document.RawDocument("x#0", PROSE, encoding="utf-8"),
        document.RawDocument("x#1", "字" * 3333 + "\\xe5", document.OVERSIZED, 30_003),
        document.RawDocument("x#2", "文" * 10_000, encoding="utf-8"),
    ]


def test_a_row_group_of_long_rows_is_refused_by_name(tmp_path, monkeypatch):
    pq.write_table(pa.table({"text": ["字" * 10_000] * 10}), tmp_path / "long", use_dictionary=False)
    pq.write_table(pa.table({"text": draw_texts(9000, 20)}), tmp_path / "short", use_dictionary=False)
    monkeypatch.setattr(parquet, "MAX_PAGE_BYTES", 100_000)
    with pytest.raises(
        streams.Unreadable,
        match=r"row group 0 has 10 rows of 0 MB, so long that a page .* fewer rows in a row group",
    ):
        read(tmp_path / "long")
    assert len(read(tmp_path / "short")) == 9000


def test_row_groups_before_one_that_is_refused_are_read(tmp_path, monkeypatch):
    with pq.ParquetWriter(tmp_path / "x", pa.schema({"text": pa.string()}), use_dictionary=False) as writer:
        for texts in ([PROSE] * 3, ["字" * 10_000] * 10):
            writer.write_table(pa.table({"text": texts}))
    monkeypatch.setattr(parquet, "MAX_PAGE_BYTES", 100_000)
    rows = documents(plan.FileRange("s", 0, str(tmp_path / "x"), "parquet", "text", 1))
    assert [next(rows).text for _ in range(3)] == [PROSE] * 3
    with pytest.raises(streams.Unreadable, match="row group 1 has 10 rows"):
        next(rows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (3, "200 rows in row group 0, where its footer says 250"),
        (1, "the columns of row group 0 have other numbers of rows than its footer says"),
    ],
)
def test_rows_that_the_footer_names_and_that_are_missing_are_noticed(tmp_path, fields, message):
    """The number of 200 rows (64 bit, zigzag) becomes 250 in the footer: the file's, the row group's, the
    column's.
    """
    pq.write_table(
        pa.table({"text": draw_texts(200)}), tmp_path / "x", write_batch_size=10, data_page_size=1000
    )
    data = (tmp_path / "x").read_bytes()
    at = len(data)
    for _ in range(fields):
        at = data.rindex(b"\x16\x90\x03", 0, at)
        data = data[:at] + b"\x16\xf4\x03" + data[at + 3 :]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(streams.Unreadable, match=message):
        read(tmp_path / "x")


def test_a_table_that_unpacks_to_too_much_is_a_bomb(tmp_path):
    pq.write_table(
        pa.table({"text": ["a" * 40_000_000]}), tmp_path / "x", compression="zstd", use_dictionary=False
    )
    with pytest.raises(streams.Unreadable, match="a decompression bomb: it unpacks to over 32 MB"):
        read(tmp_path / "x")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_damage_anywhere_loses_no_row_in_silence(tmp_path, compression):
    path = tmp_path / "x"
    pq.write_table(
        pa.table({"text": [*draw_texts(200, 40), None]}),
        path,
        compression=compression,
        write_page_checksum=True,
    )
    whole, rows, draw, refused = path.read_bytes(), read(path), random.Random(1), 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(4, len(whole) - 8)] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            assert read(path) == rows
        except streams.Unreadable:
            refused += 1
    assert refused > 30


def test_row_groups_without_rows_are_no_damage(tmp_path):
    """As pyarrow writes an empty table: pages of data begin nowhere."""
    rows = draw_texts(9)
    table = pa.table({"text": rows})
    with pq.ParquetWriter(tmp_path / "x", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 4), table.slice(0, 0), table.slice(4)):
            writer.write_table(part)
    assert pq.ParquetFile(tmp_path / "x").num_row_groups == 4
    assert [found.text for found in read(tmp_path / "x")] == rows


def test_a_name_with_a_dot_is_not_the_path_of_what_is_nested(tmp_path):
    pq.write_table(pa.table({"a": [{"b": "nested"}] * 2, "a.b": [PROSE, "字"]}), tmp_path / "x")
    assert [found.text for found in read(tmp_path / "x", text_field="a.b")] == [PROSE, "字"]


def test_a_column_whose_name_is_damaged_is_a_reason(tmp_path):
    pq.write_table(pa.table({"text": [PROSE]}), tmp_path / "x", store_schema=False)
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes().replace(b"\x04text", b"\x04te\x80t"))
    with pytest.raises(streams.Unreadable, match="no readable Parquet: 'utf-8' codec"):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("rows", "size", "most"), [(40, 100_000, 10), (1000, 5000, 16), (3, 3_000_000, 1), (1000, 20, 1000)]
)
def test_of_large_rows_of_parquet_few_are_read_at_once(tmp_path, rows, size, most):
    texts = [f"{number}".zfill(size) for number in range(rows)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "x", use_dictionary=False)
    read = [batch.column(0).to_pylist() for batch in row_groups.batches(pq.ParquetFile(tmp_path / "x"), [0])]
    assert max(map(len, read)) in (most - 1, most)  # heads of pages count, too
    assert [text for some in read for text in some] == texts


def test_few_rows_are_read_at_once_of_a_text_that_a_dictionary_holds_once(tmp_path):
    texts = ["字" * 100_000] * 100
    pq.write_table(pa.table({"text": texts}), tmp_path / "x")
    assert (tmp_path / "x").stat().st_size < 400_000
    read = [batch.column(0).to_pylist() for batch in row_groups.batches(pq.ParquetFile(tmp_path / "x"), [0])]
    assert max(map(len, read)) <= 16
    assert [text for some in read for text in some] == texts


def test_memory_does_not_grow_with_a_row_group(tmp_path):
    """A row group of 64 MB is read with a few MB at hand (pyarrow's own count of its memory)."""
    big = pa.table({"text": [random.Random(number).randbytes(12_000).hex() for number in range(2600)]})
    pq.write_table(
        big,
        tmp_path / "x",
        row_group_size=2600,
        compression="none",
        use_dictionary=False,
        write_batch_size=32,
    )
    del big
    before, most = pa.total_allocated_bytes(), 0
    for _ in documents(plan.FileRange("s", 0, str(tmp_path / "x"), "parquet", "text", 1)):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 10_000_000
