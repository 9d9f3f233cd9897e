"""reStructuredText, on docutils: the prose of paragraphs, headings, list items, table cells and
admonitions.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from mobilebert.corpus.readers.document import bounded
from mobilebert.text.soft_breaks import join_lines

# A role of Sphinx, which docutils does not know: :ref:`text <target>` is read as its text.
_ROLE = re.compile(
    r"(?<![A-Za-z0-9:`]):[A-Za-z][\w.+-]{0,40}(?::[A-Za-z][\w.+-]{0,40}){0,2}:`([^`<]{0,1000}?)\s*(?:<[^`<>]{0,1000}>)?`"
)
# Roles without prose: their text is a formula.
_FORMULA = re.compile(r"(?<![A-Za-z0-9:`]):(?:math|eq|raw-latex|raw-html):`[^`]{0,10000}`")
# Inline markup is undone here: docutils knows it only between spaces, which Chinese has none of.
_INLINE = (
    (re.compile(r"``([^`\n]+)``"), r"\1"),
    (re.compile(r"\*\*([^*\n]+)\*\*"), r"\1"),
    (re.compile(r"\*([^*\s][^*\n]*)\*"), r"\1"),
)
# Of what is left, docutils looks for an end from every start on, in quadratic time; a block or word with more
# than this is no markup.
_MARK = re.compile(r"[*`]|\|(?=\S)|_(?=\W)|(?<=\W):")
_LONG_WORD = re.compile(r"\S{1000,}")
_JOINT = re.compile(r"[-._+:]")
# It calls itself for each address of a block.
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9]):(?=[^\s:])|@")
_MOST_MARKS = 100
# What it makes nodes of; it ends lines where `str.splitlines` does.
_NODES = ("\n", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "|", "`", "_", "*", "@", "://")
_BLOCK = re.compile(r"\n[ \t]*\n")
_DROPPED = (
    *(
        "comment",
        "field_list",
        "docinfo",
        "literal_block",
        "doctest_block",
        "math_block",
        "math",
        "option_list",
        "image",
        "raw",
        "target",
    ),
    *(
        "footnote",
        "footnote_reference",
        "citation",
        "citation_reference",
        "substitution_definition",
        "system_message",
        "pending",
        "topic",
    ),
    *("meta", "decoration"),
)
_BLOCKS = ("paragraph", "title", "subtitle", "term", "line", "caption", "rubric", "attribution")


def rst_prose(source: str) -> str:
    """The prose of a reStructuredText document, a block a line.

    Code, formulas, comments, field lists, tables of contents, footnotes, images and directives go, all but
    admonitions (`note`, `warning`, ...), whose text stays. No file is included, whatever a directive asks
    for.
    """
    from docutils import nodes, utils
    from docutils.parsers.rst import Parser

    source = _ROLE.sub(r"\1", _FORMULA.sub("", source.replace("\0", "").replace("\r\n", "\n").expandtabs(8)))
    for pattern, kept in _INLINE:
        source = pattern.sub(kept, source)
    source = "\n\n".join(
        _without(_ADDRESS, r"\\\g<0>", _without(_MARK, "", block)) for block in _BLOCK.split(source)
    )
    source = _LONG_WORD.sub(lambda word: _without(_JOINT, " ", word[0]), source)
    document = utils.new_document("", _settings().copy())
    # Parsed, not published: transforms would put today's date and tables of contents into the text.
    Parser().parse(bounded(source, _NODES), document)
    dropped = tuple(getattr(nodes, name) for name in _DROPPED)
    for node in [*document.findall(lambda node: isinstance(node, dropped))]:
        node.parent.remove(node)
    blocks = tuple(getattr(nodes, name) for name in _BLOCKS)
    texts = (
        node.astext().replace("\0", "") for node in document.findall(lambda node: isinstance(node, blocks))
    )
    return "\n".join(filter(None, map(join_lines, texts)))


def _without(marks: re.Pattern[str], instead: str, text: str) -> str:
    return marks.sub(instead, text) if len(marks.findall(text)) > _MOST_MARKS else text


@cache
def _settings() -> Any:
    from docutils import frontend
    from docutils.parsers.rst import Parser

    settings = frontend.get_default_settings(Parser)
    settings.report_level = settings.halt_level = 5
    settings.warning_stream = False
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight = "none"
    settings.line_length_limit = 1 << 40
    return settings
