"""Extractors of main text on pages of many kinds of sites, written for this: tests/cases/pages.

    pip install --no-deps --target EXTRA resiliparse readability-lxml cssselect chardet boilerpy3
    PYTHONPATH=EXTRA python -m benchmarks.corpus.pages

prints the table of docs/corpus.md; what is not installed is left out. Beside a page lies its text, a
paragraph a line; a line after "~" (title, date, signature) may come out or not.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

PAGES = Path(__file__).resolve().parents[2] / "tests" / "cases" / "pages"
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class Score(NamedTuple):
    """How much of a page's text came out, in characters of whole lines a character of its paragraphs."""

    kept: float
    spurious: float


def names() -> list[str]:
    """The names of the pages."""
    return sorted(path.stem for path in PAGES.glob("*.html"))


def page(name: str) -> str:
    """The HTML of a page."""
    return (PAGES / f"{name}.html").read_text(encoding="utf-8")


def score(name: str, text: str) -> Score:
    """Judge what was extracted from a page."""
    lines = (PAGES / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    paragraphs = [line for line in lines if not line.startswith("~")]
    expected = {line.removeprefix("~") for line in lines}
    out = list(filter(None, (" ".join(line.split()) for line in text.split("\n"))))
    whole = sum(map(len, paragraphs))
    kept = sum(len(line) for line in paragraphs if line in out)
    return Score(kept / whole, sum(len(line) for line in out if line not in expected) / whole)


def ours(html: str) -> str:
    """What the reader of HTML gives."""
    from mobilebert.corpus.readers.html import main_text

    return main_text(html)


def trafilatura(html: str) -> str:
    """trafilatura, without comments and tables."""
    import trafilatura

    return trafilatura.extract(html, include_comments=False, include_tables=False) or ""


def resiliparse(html: str) -> str:
    """resiliparse's main content."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, main_content=True, list_bullets=False, alt_texts=False)


def readability(html: str) -> str:
    """readability-lxml's summary, as its paragraphs' text."""
    from lxml import html as lxml_html
    from readability import Document

    tree = lxml_html.fromstring(Document(html).summary())
    for line_end in tree.iter("br", "p", "div", "li", "h1", "h2", "h3", "td"):
        line_end.tail = "\n" + (line_end.tail or "")
    return tree.text_content()


def justext(html: str) -> str:
    """jusText without stop words, its lengths a third of the English ones."""
    import justext

    paragraphs = justext.justext(html, frozenset(), 23, 67, stopwords_low=0, stopwords_high=0)
    return "\n".join(each.text for each in paragraphs if not each.is_boilerplate)


def boilerpy3(html: str) -> str:
    """boilerpy3's article extractor."""
    from boilerpy3.extractors import ArticleExtractor

    return ArticleExtractor().get_content(html)


EXTRACTORS: dict[str, Callable[[str], str]] = {
    "trafilatura": trafilatura,
    "resiliparse": resiliparse,
    "readability-lxml": readability,
    "jusText": justext,
    "boilerpy3": boilerpy3,
}


def table(extractors: dict[str, Callable[[str], str]]) -> str:
    """Kept and spurious text a page and extractor, and the means, in per cent."""
    head = ["page", *extractors]
    rows: list[list[str]] = []
    sums = {extractor: [0.0, 0.0] for extractor in extractors}
    for name in names():
        html = _XML_DECLARATION.sub("", page(name))
        row = [name]
        for extractor, function in extractors.items():
            kept, spurious = score(name, function(html))
            sums[extractor][0] += kept
            sums[extractor][1] += spurious
            row.append(f"{kept:.0%}, {spurious:.0%}")
        rows.append(row)
    count = len(names())
    rows.append(
        ["mean", *(f"{kept / count:.0%}, {spurious / count:.0%}" for kept, spurious in sums.values())]
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


def on_paragraphs(extract: Callable[[str], str]) -> Callable[[str], str]:
    """An extractor that is given the reader's paragraphs in place of the page."""
    from lxml import etree

    from mobilebert.corpus.readers.html_paragraphs import parse

    return lambda html: extract(etree.tostring(parse(html), encoding="unicode", method="html"))


def installed(extractors: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    modules = {"readability-lxml": "readability", "jusText": "justext"}
    return {
        name: importlib.metadata.version(name)
        for name in extractors
        if importlib.util.find_spec(modules.get(name, name))
    }


def main() -> None:
    """Print the table, and the means where the extractors are given our paragraphs."""
    logging.disable(logging.CRITICAL)
    named = {f"{name} {version}": EXTRACTORS[name] for name, version in installed(EXTRACTORS).items()}
    print(table({"ours": ours} | named))
    print(table({name: on_paragraphs(function) for name, function in named.items()}).splitlines()[-1])


if __name__ == "__main__":
    main()
