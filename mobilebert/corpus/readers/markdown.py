"""The prose of Markdown."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from mobilebert.corpus.readers import html
from mobilebert.corpus.readers.document import bounded
from mobilebert.text.soft_breaks import is_wide, join_lines

_FRONT_MATTER = re.compile(r"\A\ufeff?(---|\+\+\+)[ \t]*\r?\n.*?\n\1[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_CODE_BLOCK = re.compile(r"<pre\b.*?(?:</pre\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_LINE_TAG = re.compile(r"<br\b", re.IGNORECASE)
_ANNOTATION = re.compile(r"<(/?)r[tp]\b", re.IGNORECASE)
# Tokens of markdown-it after which a line ends.
_BLOCK_ENDS = {"paragraph_close", "heading_close", "tr_close"}


def prose(source: str) -> str:
    """The prose of a Markdown text: no front matter, code blocks, images, addresses, tags; link texts,
    headings and table cells stay. Soft line ends are joined, hard ones stay.
    """
    source = _FRONT_MATTER.sub("", source.replace("\0", "").replace("\r\n", "\n"), count=1)
    out: list[str] = []
    for token in _parser().parse(bounded(source, "\n\r\\[*_`<&|")):
        if token.type == "inline":
            out.append(_inline(token.children or []))
        elif token.type in _BLOCK_ENDS:
            out.append("\n")
        elif token.type in {"td_close", "th_close"}:
            out.append(" ")
        elif token.type == "html_block":
            out.append(html.all_text(_CODE_BLOCK.sub("", token.content)) + "\n")
    return "".join(out)


def _inline(tokens: list[Any]) -> str:
    """The text of a paragraph, heading or cell; more lines where there are hard line ends."""
    lines: list[list[str]] = [[]]
    annotation = False
    for token in tokens:
        if token.type == "html_inline" and (tag := _ANNOTATION.match(token.content)):
            annotation = not tag[1]
        elif token.type == "hardbreak" or (token.type == "html_inline" and _LINE_TAG.match(token.content)):
            lines.append([])
        elif token.type == "softbreak":
            lines[-1].append("\n")
        elif token.type in {"text", "code_inline"} and not annotation:
            lines[-1].append(token.content)
    return "\n".join(join_lines("".join(line)) for line in lines)


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.inline.ruler.at("emphasis", _emphasis)
    return parser


def _emphasis(state: Any, silent: bool) -> bool:
    """markdown-it's rule for marks of emphasis, with the neighbours judged as in `_can_open_and_close`.

    Four marks between words are the end of one strong text and the beginning of the next.
    """
    from markdown_it.rules_inline.state_inline import Delimiter

    marker, source, start = state.src[state.pos], state.src, state.pos
    if silent or marker not in "*_":
        return False
    while state.pos < state.posMax and source[state.pos] == marker:
        state.pos += 1
    length = state.pos - start
    before, after = (
        source[start - 1] if start else " ",
        source[state.pos] if state.pos < state.posMax else " ",
    )
    opens, closes = _can_open_and_close(before, after, marker)
    both = opens and closes and length == 4
    for number in range(length):
        state.push("text", "", 0).content = marker
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=2 if both else length,
                token=len(state.tokens) - 1,
                end=-1,
                open=opens and not (both and number < 2),
                close=closes and not (both and number >= 2),
            )
        )
    return True


def _can_open_and_close(before: str, after: str, marker: str) -> tuple[bool, bool]:
    """Whether a run of marks between two characters can open and close emphasis.

    CommonMark (6.2) wants a space outside of marks that have punctuation inside, and Chinese has none. The
    amendment for Chinese, Japanese and Korean (tats-u/markdown-cjk-friendly on GitHub) is followed:
    Chinese punctuation counts as letters, and a wide character outside as a space does. Quotation marks,
    dashes and ellipses, narrow in other scripts, are Chinese here.
    """
    from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace

    def is_mark(character: str) -> bool:
        return isMdAsciiPunct(ord(character)) or isPunctChar(character)

    def is_chinese(character: str) -> bool:
        return is_wide(character) or unicodedata.east_asian_width(character) == "A"

    def flanks(inside: str, outside: str) -> bool:
        if isWhiteSpace(ord(inside)):
            return False
        ends_outside = isWhiteSpace(ord(outside)) or is_mark(outside) or is_chinese(outside)
        return not is_mark(inside) or is_chinese(inside) or ends_outside

    left, right = flanks(after, before), flanks(before, after)
    if marker == "*":
        return left, right
    return left and (not right or is_mark(before)), right and (not left or is_mark(after))
