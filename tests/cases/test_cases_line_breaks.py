"""Hard-wrapped lines of reStructuredText are joined: nothing between Han."""

from __future__ import annotations

import textwrap


def test_wrapped_paragraph_is_one_line(tmp_path, clean):
    sentence = (
        "老船工在渡口等了一个上午，直到雾气散去，对岸的人才把货物一件一件地搬到船上来，"
        "他说今年的水比往年都要大，要小心。"
    )
    path = tmp_path / "page.rst"
    path.write_text("\n".join(textwrap.wrap(sentence, 20)) + "\n", encoding="utf-8")
    assert clean(path).text == sentence
