"""Decoding as the WHATWG Encoding Standard has it."""

from __future__ import annotations

import pytest

from mobilebert.text import whatwg


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"\x80", "gb18030", "€"),
        (b"\xa3\xa0\xa1\xa1", "gb18030", "\u3000\u3000"),
        (b"\xa8\xbc\xa6\xd9\xfe\x59\xfe\xa0", "gb18030", "\u1e3f\ufe10\u9fb4\u9fbb"),
        # A second byte that is ASCII stays, another one goes with the first.
        (b"\xd6\n\xd6\xff\xff\xd6", "gb18030", "\ufffd\n\ufffd\ufffd\ufffd"),
        (b"\x81\x30", "gb18030", "\ufffd"),
        (b"\x81\x30\x81", "gb18030", "\ufffd"),
        (b"\x81\x30a", "gb18030", "\ufffd0a"),
        ("𠮷".encode("gb18030")[:3] + "，".encode("gbk"), "gb18030", "\ufffd4玻\ufffd"),
        (b"\x80\xa4\x40\xa4\n\xa3\xf0", "cp950", "\ufffd一\ufffd\n\ufffd"),
        (b"\xa4\x40\x89\x66", "big5hkscs", "一" + b"\x89\x66".decode("big5hkscs")),
        (b"\xe4\xb8\xe4\xb8\xad\xff", "utf-8", "\ufffd中\ufffd"),
        (b"\xb8\xad\xe4\xb8\xad\xf0\xa0\xae", "utf-8", "\ufffd中\ufffd"),  # browsers have two before it
        ("中\ud83d".encode("utf-8", "surrogatepass"), "utf-8", "中\ufffd"),  # and three after it
        (b"\xe4\xb8\xe4\xff\xb8\xad\xe4\xb8\xff\xad\xc0\x80", "utf-8", "\ufffd" * 4),
        (b"\x2d\x4e\x00\xd8\x2d", "utf-16-le", "中\ufffd"),
    ],
)
def test_bad_bytes_reach_as_far_as_in_a_browser(data, encoding, text):
    assert whatwg.decode(data, encoding) == text


def test_text_with_private_characters_alone_is_not_put_in_step():
    text = "前面的字\ue000后面的字"
    data = text.encode("gb18030")
    assert (
        whatwg.resynchronise(whatwg.decode(data, "gb18030"), data, "gb18030").replace("\ufffd", "\ue000")
        == text
    )
