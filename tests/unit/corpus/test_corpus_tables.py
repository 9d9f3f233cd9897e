"""CSV and TSV as programs and people write them: every row a document, or counted with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilebert.corpus import plan
from mobilebert.corpus.readers import streams
from mobilebert.corpus.readers.by_format import documents
from mobilebert.corpus.readers.document import RawDocument

PROSE = "在这个故事里，我们的主人公来到了一座没有名字的城市。他说这里的人都很好。"


def read(tmp_path: Path, data: bytes | str, format: str = "csv", field="content") -> list[RawDocument]:
    path = tmp_path / f"x.{format}"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(documents(plan.FileRange("s", 0, str(path), format, field, 0, name=path.name)))


def test_quotes_line_ends_and_delimiters_inside_a_field_are_its_text(tmp_path):
    found = read(tmp_path, f'likes,content\r\n1,"他说：""好"",\r\n{PROSE}"\r\n\r\n2,{PROSE}\r\n')
    assert [(each.name, each.text) for each in found] == [
        ("x.csv#2", f'他说："好",\r\n{PROSE}'),
        ("x.csv#5", PROSE),
    ]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("format", "mark"), [("csv", ","), ("csv", ";"), ("csv", "\t"), ("tsv", "\t")])
def test_encodings_and_delimiters_of_excel_are_known(tmp_path, encoding, format, mark):
    text = f"编号{mark}内容{mark}时间\r\n" + "".join(f"{n}{mark}{PROSE}{mark}早上\r\n" for n in range(9))
    found = read(tmp_path, text.encode(encoding), format, "内容")
    assert [each.text for each in found] == [PROSE] * 9
    assert {each.encoding for each in found} <= {encoding.removesuffix("-sig"), "utf-16-le"}


def test_the_line_in_which_excel_names_its_delimiter_is_no_header(tmp_path):
    assert [each.text for each in read(tmp_path, f"sep=;\r\nid;content\r\n7;{PROSE}\r\n")] == [PROSE]


def test_a_field_may_be_longer_than_pythons_limit(tmp_path):
    (found,) = read(tmp_path, f'content,n\n"{PROSE * 5000}",1\n')
    assert found.text == PROSE * 5000


def test_a_quote_that_is_never_closed_takes_only_its_own_row(tmp_path):
    rows = [f"{n},第{n}行{PROSE}" for n in range(6)]
    rows[2] = '2,"' + PROSE
    found = read(tmp_path, "n,content\n" + "\n".join(rows) + "\n")
    assert [each.text[:3] for each in found] == ["第0行", "第1行", "在这个", "第3行", "第4行", "第5行"]


def test_quotes_inside_a_quoted_field_need_not_be_doubled(tmp_path):
    found = read(tmp_path, f'n\tcontent\n1\t"他说"好"，{PROSE}"\n2\t{PROSE}\n', "tsv")
    assert [each.text.count("好") for each in found] == [2, 1]


def test_a_row_with_more_fields_than_columns_is_counted(tmp_path):
    found = read(tmp_path, f"n,content\n1,{PROSE},又一段\n2,{PROSE},\n3\n4,{PROSE}\n")
    assert [(each.reason, each.detail) for each in found] == [
        ("broken_row", "3 fields for 2 columns"),
        (None, ""),
        ("no_text_field", ""),
        (None, ""),
    ]


def test_ids_of_a_table_name_its_rows(tmp_path):
    assert [each.name for each in read(tmp_path, f"id,content\na7,{PROSE}\n,{PROSE}\n")] == ["a7", "x.csv#3"]


def test_several_columns_make_a_text(tmp_path):
    found = read(tmp_path, f"title,likes,content\n题,3,{PROSE}\n,3,{PROSE}\n", field=("title", "content"))
    assert [each.text for each in found] == [f"题\n{PROSE}", PROSE]


def test_a_table_without_a_header_is_refused_with_what_is_there(tmp_path):
    with pytest.raises(
        streams.Unreadable, match=r"no column 'content' \(but 1, 好.*\); set text_field, or give"
    ):
        read(tmp_path, f"1,好,{PROSE}\n2,好,{PROSE}\n")
    with pytest.raises(streams.Unreadable, match="several columns 'content'"):
        read(tmp_path, f"content,content\n{PROSE},{PROSE}\n")


def test_a_lone_carriage_return_ends_a_row_as_old_excel_writes_it(tmp_path):
    assert [each.text for each in read(tmp_path, f"n,content\r1,{PROSE}\r2,{PROSE}\r")] == [PROSE] * 2
