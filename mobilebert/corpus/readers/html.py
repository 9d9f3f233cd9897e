"""The text of HTML pages and of fragments of HTML, a paragraph a line."""

from __future__ import annotations

import html as entities
import logging
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from mobilebert.corpus.readers import html_paragraphs
from mobilebert.corpus.readers.document import bounded

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_PAGE = re.compile(r"<(?:!doctype|html|head|title|meta|body|frameset)\b", re.IGNORECASE)
# No tags are the signs of a<b and c>d.
_TAG = re.compile(r"<!--|</[a-zA-Z][^\s<>]*\s*>|<([a-zA-Z][a-zA-Z0-9]*)(?:\s[^<>]*=[^<>]*)?\s*/?>")
_LINE_TAG = re.compile(
    r"<(?:p|br|div|li|td|h[1-6]|blockquote|section|article|pre|dd|tr|center)\b", re.IGNORECASE
)
_LINE_END, _EMPTY_LINE = re.compile(r"(<[^<>]*>)|\r?\n"), re.compile(r"(<[^<>]*>)|\n[ \t\r]*\n")
# Less of the sentences than this is no main text: measured on tests/cases/pages (docs/corpus.md).
_LEAST_SHARE = 0.6
# An extractor's own size below which it does not trust itself, 250 characters by default: English ones. A Han
# stands for about three.
_EXTRACTED_CHARACTERS = 80
_CLAUSE_CHARACTERS, _PROSE_CHARACTERS = 15, 40
_HAN = re.compile("[\u3400-\u9fff]")
_NO_LETTERS = re.compile(r"[\W_]+")
_AROUND = {"nav", "footer", "aside"}


def main_text(page: str) -> str:
    """The main text of a page, or all text of a fragment; "" if there is none.

    Which paragraphs are the main text is what trafilatura says; their words and ends are those of the page
    (`html_paragraphs`). Where too few of the page's sentences come out of it as whole lines, the main text is
    all from the first sentence to the last.
    """
    page = _XML_DECLARATION.sub("", bounded(page, "<").replace("\0", ""), count=1)
    if not _PAGE.search(page):
        return fragment_text(page)
    tree = html_paragraphs.parse(page)
    paragraphs = _without_data(tree, [each for each in _all_paragraphs(tree) if not _is_menu(each)])
    sentences = [each for each in paragraphs if _is_sentence(_text(each))]
    around = _around(tree)
    inside = [each for each in sentences if each not in around] or sentences
    keys = _main_keys(tree)
    kept = [each for each in paragraphs if _key(_text(each)) in keys]
    if not kept or _characters(set(inside).intersection(kept)) < _LEAST_SHARE * _characters(inside):
        kept = _from_first_to_last(paragraphs, set(inside))
    return "\n".join(map(_text, kept))


def fragment_text(fragment: str) -> str:
    """All text of a fragment of HTML, a paragraph a line: rows of answers and comments have no menus.

    Empty lines between the tags end a paragraph, as editors of articles have it before they are published;
    all line ends do, if there is no tag that does.
    """
    tags = (match[1].lower() if match[1] else "a" for match in _TAG.finditer(fragment))
    if _tags().isdisjoint(tags):
        return entities.unescape(html_paragraphs.without_controls(fragment))
    return all_text(fragment)


def all_text(fragment: str) -> str:
    """The same, of what is mark-up for certain."""
    line_end = _EMPTY_LINE if _LINE_TAG.search(fragment) else _LINE_END
    fragment = line_end.sub(lambda match: match[1] or html_paragraphs.LINE_SEPARATOR, bounded(fragment, "\n"))
    return "\n".join(map(_text, _all_paragraphs(html_paragraphs.parse(f"<body>{fragment}</body>"))))


def _all_paragraphs(tree: Any) -> Iterable[Any]:
    return tree.iter("p", *html_paragraphs.HEADINGS)


def _around(tree: Any) -> set[Any]:
    """The elements of what stands around a main text: navigation, footers, asides, comments."""
    around: set[Any] = set()
    for element in tree.iter():
        names = element.get("class", ""), element.get("id", "")
        if (
            element.getparent() in around
            or element.tag in _AROUND
            or any(name.startswith("comment") for name in names)
        ):
            around.add(element)
    return around


def _without_data(tree: Any, paragraphs: list[Any]) -> list[Any]:
    """The paragraphs without the rows of tables of data, unless most of the sentences stand in these."""
    rows = {row for table in tree.iter("table") for row in table.iter("p")}
    others = [each for each in paragraphs if each not in rows]
    sentences, others_sentences = (
        _characters(each for each in some if _is_sentence(_text(each))) for some in (paragraphs, others)
    )
    return others if others and 2 * others_sentences >= sentences else paragraphs


def _main_keys(tree: Any) -> set[str]:
    """The `_key` of each line that trafilatura takes for main text. It is given no tables of data."""
    import trafilatura

    tree = tree.__copy__()
    for table in list(tree.iter("table")):
        table.drop_tree()
    return set(map(_key, (trafilatura.extract(tree, options=_options()) or "").split("\n"))) - {""}


def _key(line: str) -> str:
    """What a line and its paragraph have in common, whatever was done to spaces and odd characters."""
    return _NO_LETTERS.sub("", unicodedata.normalize("NFC", line))


@cache
def _options() -> Any:
    from trafilatura.settings import Extractor

    # It warns of data that it discards, without a name; what is left out is checked here.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    options = Extractor(fast=True, comments=False, tables=False, formatting=False)
    options.min_extracted_size = _EXTRACTED_CHARACTERS
    return options


@cache
def _tags() -> frozenset[str]:
    from lxml.html import defs

    return defs.tags


def _text(paragraph: Any) -> str:
    return "".join(paragraph.itertext())


def _characters(paragraphs: Iterable[Any]) -> int:
    return sum(len(_text(each)) for each in paragraphs)


def _is_sentence(text: str) -> bool:
    """Whether a line holds a sentence: a full stop, or a comma on a longer line, or many Han."""
    if any(mark in text for mark in "。！？"):
        return True
    return ("，" in text and len(text) >= _CLAUSE_CHARACTERS) or len(_HAN.findall(text)) >= _PROSE_CHARACTERS


def _is_menu(paragraph: Any) -> bool:
    """Whether a paragraph is a link to elsewhere and no sentence."""
    return html_paragraphs.is_link(paragraph) and not _is_sentence(_text(paragraph))


def _from_first_to_last(paragraphs: list[Any], sentences: set[Any]) -> list[Any]:
    """The paragraphs from the first sentence, and the heading before it, to the last; all of them where there
    is no sentence.
    """
    numbers = [number for number, each in enumerate(paragraphs) if each in sentences]
    if not numbers:
        return paragraphs
    first = numbers[0]
    if first and paragraphs[first - 1].tag in html_paragraphs.HEADINGS:
        first -= 1
    return paragraphs[first : numbers[-1] + 1]
