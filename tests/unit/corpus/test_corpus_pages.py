"""Pages of Parquet of any size are read in little memory, whole or not at all."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mobilebert.corpus import opening, plan
from mobilebert.corpus.formats import pages, parts, snappy, tables
from mobilebert.corpus.formats.document import OVERSIZED, Found

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。"


def read(path: Path) -> list[Found]:
    return list(tables.parquet(plan.Piece("s", 0, str(path), "parquet", "text", path.stat().st_size)))


def texts(rows: int, size: int = 300) -> list[str]:
    """Texts of up to so many characters, some of them empty."""
    drawn = random.Random(rows)
    return ["".join(drawn.choices(PROSE, k=drawn.randrange(size))) for _ in range(rows)]


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("nulls", ["none", "some", "many", "all", "not allowed"])
def test_what_is_read_in_parts_is_what_is_in_the_pages(tmp_path, compression, version, dictionary, nulls):
    """Compared with pyarrow; pages of a few rows, some of whose texts come again."""
    few = texts(50) * 4 + texts(50, 3000)
    absent = {"none": range(0), "some": range(0, 250, 9), "many": range(3, 240), "all": range(250), "not allowed": range(0)}[nulls]
    rows = [None if number in absent else text for number, text in enumerate(few)]
    schema = pa.schema([pa.field("other", pa.int64()), pa.field("text", pa.string(), nullable=nulls != "not allowed")])
    made = pa.table({"other": list(range(250)), "text": rows}, schema)
    pq.write_table(
        made, tmp_path / "x", compression=compression, row_group_size=200, use_dictionary=dictionary,
        data_page_version=version, data_page_size=20_000, write_batch_size=30,
    )  # fmt: skip
    file = pq.ParquetFile(tmp_path / "x")
    found: list[str | None] = []
    with (tmp_path / "x").open("rb") as stream:
        for group in range(file.num_row_groups):
            column = pages.column(stream, file, group, "text")
            assert column.in_parts
            assert column.rows == file.metadata.row_group(group).num_rows
            found += [None if text is None else text.decode() for text in parts.texts(stream, column)]
    assert found == file.read()["text"].to_pylist() == rows


def test_a_page_of_long_rows_is_read_in_little_memory(tmp_path):
    """Two pages of 36 MB, as pyarrow makes them of rows of 300 kB: by its own count of its memory."""
    rows = [f"第{number}篇。{random.Random(number).randbytes(150_000).hex()}" for number in range(240)]
    pq.write_table(
        pa.table({"text": rows, "id": [f"d{number}" for number in range(240)]}), tmp_path / "x", row_group_size=120, use_dictionary=["id"]
    )
    with (tmp_path / "x").open("rb") as stream:
        assert pages.column(stream, pq.ParquetFile(stream), 0, "text").largest > 36_000_000
    before, most, found = pa.total_allocated_bytes(), 0, []
    for each in tables.parquet(plan.Piece("s", 0, str(tmp_path / "x"), "parquet", "text", 1)):
        most = max(most, pa.total_allocated_bytes() - before)
        found.append((each.name, each.text == rows[len(found)]))
    assert found == [(f"d{number}", True) for number in range(240)]
    assert most < 3_000_000


def test_long_rows_among_many_short_ones_are_read_one_by_one(tmp_path):
    """Pages of 1 MB hold a hundred rows or one: what is read together is judged by the page, not by the group."""
    rows = texts(3000, 20) + [random.Random(number).randbytes(2_000_000).hex() for number in range(8)] + texts(3000, 20)
    pq.write_table(pa.table({"text": rows}), tmp_path / "x", write_batch_size=1, use_dictionary=False, compression="none")
    before, most, found = pa.total_allocated_bytes(), 0, []
    for each in tables.parquet(plan.Piece("s", 0, str(tmp_path / "x"), "parquet", "text", 1)):
        most = max(most, pa.total_allocated_bytes() - before)
        found.append(each.text)
    assert found == rows
    assert most < 20_000_000


def test_of_a_long_text_in_a_dictionary_few_rows_are_read_at_once(tmp_path):
    pq.write_table(pa.table({"text": ["字" * 2_000_000] * 9}), tmp_path / "x", compression="none")
    with (tmp_path / "x").open("rb") as stream:
        column = pages.column(stream, pq.ParquetFile(stream), 0, "text")
        assert (column.is_large, column.at_once) == (False, 2)
    assert [len(found.text) for found in read(tmp_path / "x")] == [2_000_000] * 9


@pytest.mark.parametrize("dictionary", [True, False])
def test_a_row_that_is_too_long_is_named_and_those_after_it_are_read(tmp_path, monkeypatch, dictionary):
    monkeypatch.setattr(pages, "LARGE", 10_000)
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 30_000)
    pq.write_table(pa.table({"text": [PROSE, "字" * 10_001, "文" * 10_000]}), tmp_path / "x", use_dictionary=dictionary)
    assert read(tmp_path / "x") == [
        Found("000000-0", PROSE),
        Found("000000-1", "字" * 3333 + "\\xe5", OVERSIZED, 30_003),
        Found("000000-2", "文" * 10_000),
    ]


@pytest.mark.parametrize("told", [199, 250])
def test_rows_that_the_footer_does_not_name_are_not_lost_in_silence(tmp_path, told):
    """Numbers of 200 rows in the footer (64 bit, zigzag) become others: its own, the row group's, the column's."""
    pq.write_table(pa.table({"text": texts(200)}), tmp_path / "x", write_batch_size=10, data_page_size=1000)
    data = (tmp_path / "x").read_bytes()
    changed = data.replace(b"\x16\x90\x03", b"\x16" + bytes([2 * told & 127 | 128, 2 * told >> 7]))
    assert len(changed) == len(data)
    (tmp_path / "x").write_bytes(changed)
    assert pq.ParquetFile(tmp_path / "x").metadata.num_rows == told
    with pytest.raises(opening.Unreadable, match=f"200 rows in the pages of its column text, where its footer says {told}"):
        read(tmp_path / "x")


def test_a_large_page_that_only_fits_as_a_whole_is_refused_by_name(tmp_path, monkeypatch):
    rows = texts(400)
    pq.write_table(pa.table({"text": rows}), tmp_path / "x", compression="lz4", use_dictionary=False)
    monkeypatch.setattr(pages, "LARGE", 100)
    assert [found.text for found in read(tmp_path / "x")] == rows
    monkeypatch.setattr("mobilebert.corpus.formats.tables._MOST_BYTES", 1000)
    with pytest.raises(opening.Unreadable, match=r"its column text has a page of 0 MB, packed and unpacked, .* \(LZ4"):
        read(tmp_path / "x")


def test_a_table_that_unpacks_to_too_much_is_a_bomb(tmp_path):
    pq.write_table(pa.table({"text": ["a" * 40_000_000]}), tmp_path / "x", compression="zstd", use_dictionary=False)
    with pytest.raises(opening.Unreadable, match="a decompression bomb: it unpacks to over 32 MB"):
        read(tmp_path / "x")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_damage_anywhere_gives_rows_or_a_reason(tmp_path, monkeypatch, compression, version, dictionary):
    monkeypatch.setattr(pages, "LARGE", 10)
    path = tmp_path / "x"
    pq.write_table(
        pa.table({"text": [*texts(20, 40), None]}), path, compression=compression, use_dictionary=dictionary, data_page_version=version
    )
    whole, drawn, refused = path.read_bytes(), random.Random(1), 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(drawn.randrange(1, 4)):
            damaged[drawn.randrange(4, min(len(whole), 400))] = drawn.randrange(256)
        path.write_bytes(damaged)
        try:
            assert len(read(path)) == 21
        except opening.Unreadable:
            refused += 1
    assert refused


@pytest.mark.parametrize("size", [0, 1, 59, 60, 61, 255, 256, 65_535, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("kind", ["prose", "noise", "one letter"])
def test_snappy_in_parts_is_what_the_library_makes_of_it(size, kind):
    drawn = random.Random(size)
    data = {"prose": "".join(drawn.choices(PROSE, k=size // 3)).encode(), "noise": drawn.randbytes(size), "one letter": b"a" * size}[kind]
    assert snappy.Unpacked(io.BytesIO(pa.compress(data, "snappy", asbytes=True))).read() == data


def test_snappy_of_other_writers():
    """A literal with a length of four bytes, copies with offsets of one, two and four, one over its own end."""
    block = b"\x1a" + b"\xfc\x03\0\0\0abcd" + b"\x01\x04" + b"\x0e\x02\0" + b"\x2f\x04\0\0\0" + b"\x04xy"
    made = snappy.Unpacked(io.BytesIO(block)).read()
    assert made == pa.decompress(block, 26, "snappy", asbytes=True)
    assert made.startswith(b"abcdabcdcdcd")


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-3], lambda packed: packed + b"\xf8", lambda packed: packed[:2] + b"\x0a\xff\xff"]
)
def test_damaged_snappy_is_an_error(damage):
    packed = damage(pa.compress(PROSE.encode() * 9, "snappy", asbytes=True))
    with pytest.raises((opening.Unreadable, OSError)):
        snappy.Unpacked(io.BytesIO(packed)).read()


def test_row_groups_without_rows_are_no_damage(tmp_path):
    """As pyarrow writes an empty table: pages of data begin nowhere."""
    rows = texts(9)
    table = pa.table({"text": rows})
    with pq.ParquetWriter(tmp_path / "x", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 4), table.slice(0, 0), table.slice(4)):
            writer.write_table(part)
    assert pq.ParquetFile(tmp_path / "x").num_row_groups == 4
    assert [found.text for found in read(tmp_path / "x")] == rows


@pytest.mark.parametrize("large", [1, 16_000_000])
def test_a_name_with_a_dot_is_not_the_path_of_what_is_nested(tmp_path, monkeypatch, large):
    monkeypatch.setattr(pages, "LARGE", large)
    pq.write_table(pa.table({"a": [{"b": "nested"}] * 2, "a.b": [PROSE, "字"]}), tmp_path / "x")
    piece = plan.Piece("s", 0, str(tmp_path / "x"), "parquet", "a.b", 1)
    assert [found.text for found in tables.parquet(piece)] == [PROSE, "字"]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_page_does_not_unpack_to_more_than_it_says(tmp_path, monkeypatch, compression):
    """The size of an unpacked page, 3,000,021 (zigzag), becomes 100,021: what is after it is not read."""
    monkeypatch.setattr(pages, "LARGE", 1)
    pq.write_table(pa.table({"text": ["a" * 1_000_000] * 3}), tmp_path / "x", compression=compression, use_dictionary=False)
    with (tmp_path / "x").open("rb") as stream:
        told = pages.column(stream, pq.ParquetFile(stream), 0, "text").unpacked

    def size(number: int) -> bytes:
        return b"\x15\x00\x15" + bytes([2 * number & 127 | 128, number >> 6 & 127 | 128, number >> 13 & 127 | 128, number >> 20])

    data = (tmp_path / "x").read_bytes()
    assert data.count(size(told)) == 1
    (tmp_path / "x").write_bytes(data.replace(size(told), size(told - 900_000)))
    with pytest.raises(opening.Unreadable, match="a page ends before its last row"):
        read(tmp_path / "x")


def test_a_run_of_more_rows_than_there_can_be_is_damage():
    with pytest.raises(opening.Unreadable, match="a run has too many rows"):
        next(parts._numbers(io.BytesIO(b"\xfe" + b"\xff" * 8 + b"\x7f" + b"\0"), 1))


def test_a_column_whose_name_is_damaged_is_a_reason(tmp_path):
    pq.write_table(pa.table({"text": [PROSE]}), tmp_path / "x", store_schema=False)
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes().replace(b"\x04text", b"\x04te\x80t"))
    with pytest.raises(opening.Unreadable, match="no readable Parquet: 'utf-8' codec"):
        read(tmp_path / "x")


def test_large_pages_in_which_nothing_may_be_null_are_read_however_they_say_it(tmp_path):
    """As parquet-mr's: levels, of which there are none, in an encoding of old."""
    rows = texts(50)
    schema = pa.schema([pa.field("text", pa.string(), nullable=False)])
    pq.write_table(pa.table({"text": rows}, schema), tmp_path / "x", use_dictionary=False)
    data = (tmp_path / "x").read_bytes()
    assert data.count(b"\x15\x00\x15\x06\x15\x06") == 1
    (tmp_path / "x").write_bytes(data.replace(b"\x15\x00\x15\x06\x15\x06", b"\x15\x00\x15\x08\x15\x08"))
    with (tmp_path / "x").open("rb") as stream:
        column = pages.column(stream, pq.ParquetFile(stream), 0, "text")
        assert column.in_parts
        assert [text.decode() for text in parts.texts(stream, column)] == rows == pq.read_table(tmp_path / "x")["text"].to_pylist()


def test_a_column_of_ids_makes_no_more_long_texts_be_read_at_once(tmp_path):
    """Both columns are read by turns through one file, whose batches have one size."""
    pq.write_table(pa.table({"text": ["字" * 1_300_000] * 30, "id": range(30)}), tmp_path / "x", compression="none")
    before, most = pa.total_allocated_bytes(), 0
    for found in tables.parquet(plan.Piece("s", 0, str(tmp_path / "x"), "parquet", "text", 1)):
        most = max(most, pa.total_allocated_bytes() - before)
        assert len(found.text) == 1_300_000
    assert most < 40_000_000
