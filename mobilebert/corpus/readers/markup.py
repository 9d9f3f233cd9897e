"""HTML, Markdown and reStructuredText: the prose, without navigation, scripts, front matter and code
blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from mobilebert.corpus.plan import FileRange
from mobilebert.corpus.readers import streams
from mobilebert.corpus.readers.document import RawDocument, bounded, extracted, shown
from mobilebert.corpus.readers.restructured import rst_prose
from mobilebert.text import decode

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_FRONT_MATTER = re.compile(r"\A\ufeff?(---|\+\+\+)[ \t]*\r?\n.*?\n\1[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TAG = re.compile(r"<[^>]{0,2000}>")
_HIDDEN = re.compile(r"<(script|style|pre|code)\b|<!--", re.IGNORECASE)
_LINE_ENDING = {"softbreak", "hardbreak"}
# Tokens of markdown-it after which a line ends.
_BLOCK_ENDS = {"paragraph_close", "heading_close", "tr_close", "inline_html"}


def html(file_range: FileRange) -> Iterator[RawDocument]:
    """The main text of a page (trafilatura: judged best of its kind by several comparisons);
    `no_main_text` if there is none.
    """
    yield from _one(file_range, main_text)


def markdown(file_range: FileRange) -> Iterator[RawDocument]:
    """The prose of a Markdown file; `no_main_text` if there is none."""
    yield from _one(file_range, prose)


def rst(file_range: FileRange) -> Iterator[RawDocument]:
    """The prose of a reStructuredText file; `no_main_text` if there is none."""
    yield from _one(file_range, rst_prose)


def main_text(page: str) -> str:
    """The main text of an HTML page; "" if none is found."""
    import trafilatura

    # A page that arrives as text has its encoding behind it: lxml refuses a declaration of another one.
    page = _XML_DECLARATION.sub("", bounded(page, "<").replace("\0", ""))
    return (
        trafilatura.extract(page, include_comments=False, include_tables=False, include_formatting=False)
        or ""
    )


def prose(source: str) -> str:
    """The prose of a Markdown text: no front matter, code blocks, images, addresses, tags; link texts,
    headings and table cells stay.
    """
    source = _FRONT_MATTER.sub("", source.replace("\0", "").replace("\r\n", "\n"), count=1)
    out: list[str] = []
    for token in _parser().parse(bounded(source, "\n\r\\[*_`<&|")):
        if token.type == "inline":
            out.extend(map(_inline, token.children or []))
        elif token.type in _BLOCK_ENDS:
            out.append("\n")
        elif token.type in {"td_close", "th_close"}:
            out.append(" ")
        elif token.type == "html_block":
            out.append(_TAG.sub("", _visible(token.content)) + "\n")
    return "".join(out)


def _visible(block: str) -> str:
    """An HTML block without scripts, styles, code and comments; one that is never closed goes on to the
    end.
    """
    kept, position, lower = [], 0, block.lower()
    while opening_tag := _HIDDEN.search(block, position):
        kept.append(block[position : opening_tag.start()])
        end = f"</{opening_tag[1].lower()}" if opening_tag[1] else "-->"
        position = lower.find(end, opening_tag.end())
        if position < 0:
            return "".join(kept)
    return "".join(kept) + block[position:]


def _inline(token: Any) -> str:
    if token.type in {"text", "code_inline"}:
        return token.content
    return "\n" if token.type in _LINE_ENDING else ""


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")


def _one(file_range: FileRange, extract: Callable[[str], str]) -> Iterator[RawDocument]:
    data = streams.read_document(file_range.path)
    if data:
        yield extracted(decoded("", data), extract)


def decoded(name: str, data: bytes) -> RawDocument:
    """A document's bytes as text, or the reason why not."""
    decoding = decode.decode(data)
    return (
        RawDocument(name, shown(data), decoding.reason, len(data))
        if decoding.text is None
        else RawDocument(name, decoding.text, encoding=decoding.encoding)
    )


# What `text_format` names.
EXTRACTORS = {"html": main_text, "markdown": prose, "rst": rst_prose}
