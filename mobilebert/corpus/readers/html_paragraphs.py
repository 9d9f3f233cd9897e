"""HTML as paragraphs: what a browser shows as lines, each in an element of its own.

What shows no text goes (scripts, hidden elements, annotations of ruby), inline elements are opened, and
`br`, the lines of `pre` and the borders of blocks end a paragraph. What is left is a tree of containers,
`p` and headings, in which no text stands beside an element: an extractor has nothing to cut in it.
"""

from __future__ import annotations

import re
from typing import Any

from mobilebert.corpus.readers.document import TooManyMarks, bounded
from mobilebert.text.soft_breaks import cut_at_a_width, join_lines

# A line end that stays: of `br` and of preformatted text. Unicode's own, and XML has it.
LINE_SEPARATOR = "\u2028"
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# What shows no text, or none that belongs to a sentence: HTML standard, 15.3.1, annotations, controls.
_HIDDEN = (
    *("head", "title", "script", "style", "template", "noscript", "noframes", "iframe", "object", "svg"),
    *("applet", "canvas", "audio", "video", "map", "rt", "rp", "rtc", "annotation", "annotation-xml"),
    *("datalist", "select", "option", "optgroup", "textarea", "input", "progress", "meter"),
)
_TABLE = ("table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "td", "th")
# What a browser shows as a block (15.3.2 and following).
_BLOCKS = (
    *("html", "body", "address", "article", "aside", "blockquote", "center", "dd", "details", "dialog"),
    *("dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup"),
    *("hr", "legend", "li", "listing", "main", "menu", "nav", "ol", "p", "plaintext", "pre", "search"),
    *("section", "summary", "ul", "xmp", *HEADINGS, *_TABLE),
)
_PREFORMATTED = ("pre", "listing", "xmp", "plaintext")
# Blocks whose name tells an extractor something; the others become `div`.
_NAMED = {
    *("html", "body", "article", "aside", "figure", "footer", "form", "header", "main", "nav", "section"),
    "table",
}
_ATTRIBUTES = {"id", "class", "role", "itemprop"}
# "jammer" is what Discuz calls its noise against copying. `visibility` is not among these: WeChat hides the
# article by it until its script runs.
_HIDDEN_BY_ATTRIBUTE = (
    "descendant::*[@hidden or @class='jammer' or contains(translate(@style, ' ', ''), 'display:none')]"
)
# Characters that XML has none of, and references to them.
_NOT_XML = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]"
    "|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*(?:[0-8bcefBCEF]|1[0-9a-fA-F]))(?:;|(?![0-9a-fA-F]))"
    "|&#[xX](?:[dD][89a-fA-F][0-9a-fA-F]{2}|[fF]{3}[efEF]);"
)
_MOST_DEPTH = 200  # libxml2 itself stops at 256, unless it is told not to
# Facts are shorter than sentences.
_FACT_CHARACTERS = 40
_SENTENCE_ENDS = ("。", "！", "？", "；", "…")


def parse(page: str) -> Any:
    """The tree of a page without an XML declaration, in paragraphs.

    Raises:
        TooManyMarks: it is nested too deeply, or has too many preformatted lines.
    """
    from lxml import etree, html

    parser = html.HTMLParser(
        remove_comments=True, remove_pis=True, collect_ids=False, default_doctype=False, huge_tree=True
    )
    page = without_controls(page).replace("\r\n", "\n").replace("\r", "\n")
    # lxml refuses a document without any element.
    tree = html.document_fromstring(page + "<p></p>", parser=parser)
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log.filter_from_fatals()):
        raise TooManyMarks  # what is nested over 2048 deep was left out
    for element in tree.iter(*_PREFORMATTED):
        _keep_lines(element)
    etree.strip_elements(tree, *_HIDDEN, with_tail=False)
    _drop_hidden(tree)
    for element in tree.iter("br"):
        element.tail = LINE_SEPARATOR + (element.tail or "")
    for element in tree.iter("a", "button"):
        # What is pressed is a link; an anchor is none.
        element.tag = "a" if element.tag == "button" or element.get("href") is not None else "span"
    inline = {element.tag for element in tree.iter("*")}.difference(_BLOCKS, ["a"])
    etree.strip_tags(tree, *inline)
    _flatten(tree)
    _push_links_down(tree)
    _open_layout_tables(tree)
    for element in list(tree.iter(*_BLOCKS)):
        _divide(element)
    return tree


def without_controls(page: str) -> str:
    """Without characters that XML has none of, and references to them, which parsers make U+FFFD of."""
    return _NOT_XML.sub("", page)


def is_link(paragraph: Any) -> bool:
    """Whether most of a paragraph's text stands in links."""
    return len(paragraph) > 0


def _drop_hidden(tree: Any) -> None:
    """Drop what style or attribute hide. An element with most of the page is shown by a script."""
    elements = tree.xpath(_HIDDEN_BY_ATTRIBUTE)
    limit = len("".join(tree.itertext())) / 2 if elements else 0
    for element in elements:
        if len("".join(element.itertext())) < limit:
            element.drop_tree()


def _flatten(tree: Any) -> None:
    """Containers in too many others are opened, each with a line end in its stead: extractors look at all
    that is around an element, so that their time grows with the depth.
    """
    depths = {tree: 0}
    for element in list(tree.iter("*"))[1:]:
        depths[element] = depths[element.getparent()] + 1
        if depths[element] > _MOST_DEPTH:
            element.text = LINE_SEPARATOR + (element.text or "")
            element.tail = LINE_SEPARATOR + (element.tail or "")
            element.drop_tag()


def _keep_lines(element: Any) -> None:
    """The line ends of preformatted text stay. Program code is for the rules on texts to judge."""
    bounded("".join(element.itertext()), "\n")
    for each in element.iter("*"):
        each.text = (each.text or "").replace("\n", LINE_SEPARATOR)
        if each is not element:
            each.tail = (each.tail or "").replace("\n", LINE_SEPARATOR)


def _push_links_down(tree: Any) -> None:
    """A link around blocks becomes a mark on each of them."""
    for link in list(tree.iter("a")):
        blocks = list(link.iterdescendants(*_BLOCKS))
        for block in blocks:
            block.set("linked", "")
        if blocks:
            link.drop_tag()


def _open_layout_tables(tree: Any) -> None:
    """Tables of data stay, a paragraph a row; those that lay out the page become `div`."""
    tables = [table for table in tree.iter("table") if _holds_data(table)]
    for table in tables:
        for row in list(table.iter("tr")):
            text = " ".join(filter(None, map(_visible, row.iter("td", "th"))))
            del row[:]
            row.text, row.tag = text, "p"
    inside = {element for table in tables for element in table.iter()}
    for element in list(tree.iter(*_TABLE)):
        if element not in inside:
            element.tag = "div"


def _holds_data(table: Any) -> bool:
    """Whether a table has columns, and a heading for them or little that is a sentence in its cells."""
    if table.find(".//table") is not None:
        return False
    cells = list(map(_visible, table.iter("td", "th")))
    if len(cells) <= sum(1 for _ in table.iter("tr")):
        return False
    if table.find(".//th") is not None and table.find(".//td") is not None:
        return True
    prose = sum(len(cell) for cell in cells if len(cell) > _FACT_CHARACTERS or cell.endswith(_SENTENCE_ENDS))
    return 2 * prose < sum(map(len, cells))


def _visible(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _divide(block: Any) -> None:
    """Put each paragraph of a block's own text into a `p`; of a heading, into a heading."""
    from lxml import html

    tag, linked = block.tag, "linked" in block.attrib
    for name in set(block.attrib) - _ATTRIBUTES:
        del block.attrib[name]
    runs, borders = [[(block.text or "", linked)]], []
    for child in list(block):
        if child.tag == "a":
            runs[-1] += [("".join(child.itertext()), True), (child.tail or "", linked)]
            block.remove(child)
        else:
            borders.append(child)
            runs.append([(child.tail or "", linked)])
            child.tail = None
    block.text = None
    paragraphs = list(map(_paragraphs, runs))
    if not borders and tag in ("p", *HEADINGS) and len(paragraphs[0]) == 1:
        _fill(block, *paragraphs[0][0])
        return
    if tag not in _NAMED:
        block.tag = "div"
    del block[:]
    for border, lines in zip([None, *borders], paragraphs, strict=True):
        if border is not None:
            block.append(border)
        for line in lines:
            element = html.Element(tag if tag in HEADINGS else "p")
            _fill(element, *line)
            block.append(element)


def _fill(element: Any, text: str, linked: bool) -> None:
    from lxml import etree

    if linked:
        etree.SubElement(element, "a", href="#").text = text
    else:
        element.text = text


def _paragraphs(run: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The paragraphs of a run of inline text, and whether most of each stands in links."""
    if all(text.isspace() or not text for text, _ in run):
        return []
    lines: list[list[tuple[str, bool]]] = [[]]
    for text, linked in run:
        first, *others = text.split(LINE_SEPARATOR)
        lines[-1].append((first, linked))
        lines += [[(other, linked)] for other in others]
    cut = cut_at_a_width(["".join(text for text, _ in line).strip("\n") for line in lines])
    joined: list[list[tuple[str, bool]]] = []
    goes_on = False
    for line, is_cut in zip(lines, cut, strict=True):
        if goes_on:
            joined[-1] += [("\n", False), *line]
        else:
            joined.append(line)
        goes_on = is_cut
    paragraphs = []
    for line in joined:
        text = " ".join(join_lines("".join(text for text, _ in line)).split())
        if text:
            share = sum(_letters(text) for text, linked in line if linked)
            paragraphs.append((text, 2 * share > _letters(text)))
    return paragraphs


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
