"""Pages of Parquet: how large they are, and how many rows they have.

pyarrow unpacks a page as a whole, and writers look only every hundred or thousand rows whether one is full, so that a table of books has
pages of hundreds of megabytes; `parts` reads those. The format: https://parquet.apache.org/docs/file-format/data-pages/, with headers in
Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from mobilebert.corpus import opening
from mobilebert.pipelines import rowgroups

DATA, _DICTIONARY, DATA_2 = 0, 2, 3  # types of pages
PLAIN, _BY_NUMBER, _RLE = 0, (2, 8), 3  # encodings
_LONGEST_FIELD = 1 << 24  # bytes of a field of a header (Arrow's limit of a header)
MOST_NUMBER = 1 << 31  # of values, bytes, or rows in a run: the format's numbers have 32 bits
_PACKINGS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD")  # that `parts` undoes

LARGE = 16_000_000  # bytes of a page, packed and unpacked
_MOST_TOGETHER = 16_000_000  # bytes of rows that are one text


class Page(NamedTuple):
    """A page as its header tells; `offset` is that of its first byte after the header, `packed` and `unpacked` are its bytes."""

    offset: int
    packed: int
    unpacked: int
    kind: int
    values: int  # 0 in an index
    header: dict[int, int]  # the numbers in it that only pages of its kind have

    @property
    def is_dictionary(self) -> bool:
        """Whether it holds the texts that pages after it name by numbers."""
        return self.kind == _DICTIONARY

    @property
    def rows(self) -> int:
        """How many rows of a column that is not nested."""
        return 0 if self.is_dictionary else self.values

    @property
    def encoding(self) -> int | None:
        """How it holds its texts."""
        return self.header.get(4 if self.kind == DATA_2 else 2)

    @property
    def tells_nulls(self) -> bool:
        """Whether it says what is null in a way of today; where nothing may be, it says it in none (parquet-mr names the old one)."""
        return self.kind == DATA_2 or self.header.get(3, _RLE) == _RLE


class Column(NamedTuple):
    """A column of a row group, not nested, and what its pages say of themselves."""

    name: str
    chunk: Any  # pyarrow.parquet.ColumnChunkMetaData
    nullable: bool
    rows: int
    unpacked: int  # bytes of all pages
    largest: int  # bytes of a page, packed and unpacked
    at_once: int  # rows that may be read together
    in_parts: bool  # whether `texts` can read it

    @property
    def is_large(self) -> bool:
        """Whether a page is too large to be unpacked as a whole beside all else."""
        return self.largest > LARGE


def column(stream: BinaryIO, file: Any, group: int, name: str) -> Column:
    """A column by the headers of its pages alone, each of which costs 10 µs.

    Args:
        stream: of the file.
        file: a `pyarrow.parquet.ParquetFile` of the same.
        group: number of the row group.
        name: of a column that is not nested.

    Raises:
        Unreadable: there is no page where one should be.
    """
    leaves = [file.schema.column(place) for place in range(len(file.schema))]
    # A name may have a dot, as the path of what is nested has.
    place = next((place for place, leaf in enumerate(leaves) if leaf.path == leaf.name == name), None)
    if place is None:
        raise damaged(f"its column {name} is not in its schema")
    chunk = file.metadata.row_group(group).column(place)
    nullable = leaves[place].max_definition_level > 0
    rows = unpacked = largest = 0
    at_once = rowgroups.MOST
    in_parts = chunk.compression in _PACKINGS and chunk.physical_type == "BYTE_ARRAY"
    for page in pages(stream, chunk):
        rows += page.rows
        unpacked += page.unpacked
        largest = max(largest, page.packed + page.unpacked)
        if page.is_dictionary:  # it may be one text that all rows have
            at_once = min(at_once, _MOST_TOGETHER // max(1, page.unpacked))
        elif page.rows:  # by their mean size, page by page
            at_once = min(at_once, rowgroups.BYTES * page.rows // max(1, page.unpacked))
            in_parts = in_parts and page.encoding in (PLAIN, *_BY_NUMBER) and (page.tells_nulls or not nullable)
    return Column(name, chunk, nullable, rows, unpacked, largest, max(1, at_once), in_parts)


def pages(stream: BinaryIO, chunk: Any) -> Iterator[Page]:
    """The pages of a `pyarrow.parquet.ColumnChunkMetaData`."""
    if not chunk.data_page_offset:  # as pyarrow writes a row group without rows
        return
    dictionary = chunk.dictionary_page_offset
    offset = dictionary if dictionary and dictionary < chunk.data_page_offset else chunk.data_page_offset
    end = offset + chunk.total_compressed_size
    while offset < end:
        stream.seek(offset)
        found = _struct(stream)
        header = _counts(found)
        if not {1, 2, 3} <= header.keys():
            raise damaged("a page has no size")
        kind, unpacked, packed = header[1], header[2], header[3]
        mine = _counts(found.get({DATA: 5, _DICTIONARY: 7, DATA_2: 8}.get(kind, 0)))
        page = Page(stream.tell(), packed, unpacked, kind, mine.get(1, 0), mine)
        yield page
        offset = page.offset + packed


def _counts(fields: Any) -> dict[int, int]:
    """The numbers of a structure, as far as they can count something."""
    if not isinstance(fields, dict):
        return {}
    return {number: field for number, field in fields.items() if isinstance(field, int) and 0 <= field < MOST_NUMBER}


def _struct(stream: BinaryIO, depth: int = 0) -> dict[int, Any]:
    """The fields of a Thrift structure by their numbers."""
    fields: dict[int, Any] = {}
    number = 0
    while head := exactly(stream, 1)[0]:
        number = number + (head >> 4) if head >> 4 else _signed(stream)
        fields[number] = _value(stream, head & 15, depth)
    return fields


def _value(stream: BinaryIO, kind: int, depth: int) -> Any:
    if kind in (1, 2):
        return kind == 1
    if kind in (4, 5, 6):
        return _signed(stream)
    if kind in (3, 7):
        return exactly(stream, 1 if kind == 3 else 8)
    if kind == 8 and (size := varint(stream)) <= _LONGEST_FIELD:
        return exactly(stream, size)
    if kind == 12 and depth < 8:
        return _struct(stream, depth + 1)
    raise damaged("what stands before a page is no header")


def _signed(stream: BinaryIO) -> int:
    number = varint(stream)
    return number >> 1 ^ -(number & 1)


def varint(stream: BinaryIO) -> int:
    """A number in groups of 7 bits, the lowest first."""
    number = 0
    for shift in range(0, 70, 7):
        byte = exactly(stream, 1)[0]
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise damaged("a number has no end")


def exactly(stream: BinaryIO, size: int) -> bytes:
    """The next bytes; `Unreadable` if they are fewer."""
    data = stream.read(size)
    if len(data) < size:
        raise damaged("a page ends before its last row")
    return data


def damaged(why: str) -> opening.Unreadable:
    """The error for a file that breaks its format."""
    return opening.Unreadable(f"no readable Parquet: {why}")
