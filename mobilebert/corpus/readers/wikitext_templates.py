"""Templates and parser functions of Chinese wikis that stand for words of a sentence, and what they show.

Those that show one of their parameters stand in `wikitext_templates.txt`. All others (infoboxes, navigation,
notices, citations) show nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any

import mwparserfromhell
from mwparserfromhell import nodes

from mobilebert.corpus.readers.language_converter import BAR, CLOSE, OPEN
from mobilebert.corpus.readers.wikitext_formulas import read_formula

Shown = Iterator[Any]  # strings and parsed text

_MARKUP = re.compile(r"[\[{<&']")


def shown(template: nodes.Template, title: str) -> Shown:
    """What a template shows in the text of the page of that title: strings, and parsed text to be walked."""
    for words in _words(template, title):
        yield mwparserfromhell.parse(words) if isinstance(words, str) and _MARKUP.search(words) else words


def _words(template: nodes.Template, title: str) -> Shown:
    name = str(template.name).strip().lower().replace("_", " ")
    function, colon, _ = name.partition(":")
    if colon and function in {"formatnum", "lc", "uc", "lcfirst", "ucfirst"}:
        value = str(template.name).partition(":")[2].strip()
        # R turns a formatted number back into a plain one.
        yield value.replace(",", "") if _value(template, "1").upper() == "R" else value
        return
    name = name.removeprefix("template:").removeprefix("模板:")
    if name in _PAGE_NAMES:
        yield title
    elif name in _CHARACTERS and not template.params:
        yield _CHARACTERS[name]
    elif name.startswith("noteta"):
        yield from _page_rules(template)
    elif name in _WRITTEN:
        yield from _WRITTEN[name](template)
    elif name in _CURRENCIES and _value(template, "1"):
        yield _CURRENCIES[name]
        yield template.get("1").value
    else:
        yield from _first(template, _parameters(name))


def _parameters(name: str) -> tuple[str, ...]:
    """Those of which the first one that is not empty is shown."""
    return _table().get(name) or next((parameters for kind, parameters in _KINDS if kind.match(name)), ())


@cache
def _table() -> dict[str, tuple[str, ...]]:
    """Parameters by the name of the template."""
    source = resources.files(__package__).joinpath("wikitext_templates.txt").read_text(encoding="utf-8")
    rows = (line.partition("|") for line in source.splitlines() if line and not line.startswith("#"))
    return {name.strip(): tuple(keys.split()) for keys, _, names in rows for name in names.split(",")}


def _first(template: nodes.Template, parameters: tuple[str, ...]) -> Shown:
    for parameter in parameters:
        if template.has(parameter, ignore_empty=True):
            yield template.get(parameter).value
            return


def _value(template: nodes.Template, parameter: str) -> str:
    return str(template.get(parameter).value).strip() if template.has(parameter) else ""


def _positional(template: nodes.Template) -> list[str]:
    return [str(parameter.value).strip() for parameter in template.params if not parameter.showkey]


def _page_rules(template: nodes.Template) -> Shown:
    """{{NoteTA|1=zh-cn:..;zh-tw:..}} at the top of a page is -{H|zh-cn:..;zh-tw:..}-."""
    for parameter in template.params:
        if str(parameter.name).strip().isdecimal():
            yield f"{OPEN}H{BAR}"
            yield parameter.value
            yield CLOSE


def _convert(template: nodes.Template) -> Shown:
    """{{convert|12|km}}: the amount and its unit, as they were written."""
    values = _positional(template)
    while len(values) > 1:
        yield values.pop(0)
        unit_or_range = values.pop(0)
        yield _RANGES.get(unit_or_range) or _unit(unit_or_range)
        if unit_or_range in _RANGES:
            continue
        # {{convert|5|ft|10|in}}; other numbers that follow say how to round.
        if not (len(values) > 1 and values[0].isdecimal() and values[1].isalpha()):
            return


def _val(template: nodes.Template) -> Shown:
    yield from _positional(template)[:1]
    if exponent := _value(template, "e"):
        yield f"×10^{exponent}"
    yield _unit(_value(template, "u") or _value(template, "ul"))


def _unit(code: str) -> str:
    return _UNITS.get(code) or _POWER.sub(lambda match: "²³"[int(match[0]) - 2], code)


def _coordinates(template: nodes.Template) -> Shown:
    """{{coord|30|15|N|120|10|E}} where it stands in the text, not at the head of the page."""
    display = _value(template, "display")
    values = [value for value in _positional(template) if re.fullmatch(r"-?[\d.]+|[NSEW]", value)]
    if not values or (display and "i" not in display.replace("title", "")):
        return
    if not any(value.isalpha() for value in values):
        values = [values[0], "N", *values[1:2], "E"]
    marks = itertools.cycle("°′″")
    for value in values:
        if value.isalpha():
            yield value + (" " if value in "NS" else "")
            marks = itertools.cycle("°′″")
        else:
            yield value + next(marks)


def _example(template: nodes.Template) -> Shown:
    """Wiktionary's {{zh-x|我 每天 用 电脑。}}: spaces part the words for the romanisation."""
    yield _value(template, "1").replace(" ", "")


def _joined(template: nodes.Template) -> Shown:
    yield from (parameter.value for parameter in template.params if not parameter.showkey)


def _fraction(template: nodes.Template) -> Shown:
    values = _positional(template)
    if len(values) == 1:
        values = ["1", *values]
    yield " ".join([*values[:-2], "/".join(values[-2:])])


def _square_root(template: nodes.Template) -> Shown:
    yield "√"
    yield from _first(template, ("1",))


def _power_of_ten(template: nodes.Template) -> Shown:
    yield f"×10^{_value(template, '1')}"


def _life(template: nodes.Template) -> Shown:
    """{{bd|1881年|9月25日|1936年|10月19日}}."""
    born, died = (_value(template, one) + _value(template, two) for one, two in (("1", "2"), ("3", "4")))
    if born or died:
        yield f"{born}－{died}"


def _date(template: nodes.Template) -> Shown:
    values = [value for value in _positional(template) if value][:3]
    if values and all(value.isdecimal() for value in values):
        yield "".join(value.lstrip("0") + unit for value, unit in zip(values, "年月日", strict=False))
    elif values:
        yield template.get("1").value


def _as_of(template: nodes.Template) -> Shown:
    yield "截至"
    yield from _date(template)


def _age(template: nodes.Template) -> Shown:
    """Years between two dates; an age of today is no fact of the page."""
    values = _positional(template)
    if len(values) >= 6 and all(value.isdecimal() for value in values[:6]):
        born, day = (tuple(map(int, values[at : at + 3])) for at in (0, 3))
        yield str(day[0] - born[0] - (day[1:] < born[1:]))


def _formula(template: nodes.Template) -> Shown:
    yield read_formula(_value(template, "1"))


def _annotation(template: nodes.Template) -> Shown:
    """The commentary between the lines of an old book, in brackets as in print."""
    if template.has("1", ignore_empty=True):
        yield "（"
        yield template.get("1").value
        yield "）"


_PAGE_NAMES = {"pagename", "fullpagename", "basepagename", "subpagename", "rootpagename"}
_CHARACTERS = {
    **{"!": "|", "=": "=", "*": "•", "·": "·", "间隔点": "·", "間隔點": "·", "dot": "·", "bullet": "•"},
    **{"nbsp": " ", "space": " ", "spaces": " ", "gap": " ", "snd": " – ", "spaced ndash": " – "},
    **{"ndash": "–", "mdash": "—", "—": "—", "--": "——", "'": "'", "°": "°", "no break space": " "},
}
_CURRENCIES = {
    **dict.fromkeys(["cny", "rmb", "cn¥", "jpy", "¥", "￥", "日圓", "日元"], "¥"),
    **dict.fromkeys(["usd", "us$", "美元"], "US$"),
    **dict.fromkeys(["hkd", "hk$", "港元", "港幣", "港币"], "HK$"),
    **dict.fromkeys(["twd", "ntd", "nt$", "新臺幣", "新台幣", "新台币"], "NT$"),
    **{"gbp": "£", "£": "£", "英鎊": "£", "eur": "€", "€": "€", "歐元": "€", "krw": "₩", "₩": "₩"},
}
_RANGES = {
    **{"-": "-", "–": "–", "to": "至", "and": "和", "or": "或", "x": "×", "by": "×", "×": "×", "*": "×"},
    **{"to(-)": "至", "+/-": "±", "±": "±", "+": "+", "至": "至", "到": "到", "和": "和"},
}
_UNITS = {"C": "°C", "F": "°F", "sqkm": "km²", "sqm": "m²", "PD/km2": "人/km²"}
_POWER = re.compile(r"(?<=[A-Za-z])[23]\b")
_WRITTEN: dict[str, Callable[[nodes.Template], Shown]] = {
    **dict.fromkeys(["convert", "cvt", "换算", "換算", "单位换算", "單位換算"], _convert),
    **dict.fromkeys(["val", "gaps"], _val),
    **dict.fromkeys(["chem", "chemf", "化学式", "化學式", "molf"], _joined),
    **dict.fromkeys(["frac", "fraction", "sfrac", "分数", "分數"], _fraction),
    **dict.fromkeys(["e", "exp10", "10^"], _power_of_ten),
    **dict.fromkeys(["sqrt", "radic"], _square_root),
    **dict.fromkeys(["bd", "生卒"], _life),
    **dict.fromkeys(
        [
            *("birth date", "birth date and age", "bda", "death date", "death date and age", "dts", "date"),
            *("start date", "start date and age", "end date", "film date", "release date"),
            *("出生日期", "出生日期及年齡", "死亡日期", "死亡日期及年齡", "逝世日期", "日期"),
        ],
        _date,
    ),
    **dict.fromkeys(["as of", "asof", "截至"], _as_of),
    **dict.fromkeys(["age", "年龄", "年齡", "年歲"], _age),
    **dict.fromkeys(["tmath", "ce", "chem2"], _formula),
    **dict.fromkeys(["coord", "coor", "坐标", "坐標"], _coordinates),
    **dict.fromkeys(["zh-x", "zh-usex", "zh-co"], _example),
    "formatnum": _joined,
    "*": _annotation,
}
_KINDS = (
    (re.compile(r"(?:link-[a-z-]+|internal link helper(?:/[a-z-]+)?)$"), ("3", "d", "1")),
    (re.compile(r"lang-[a-z-]+$"), ("1",)),
)
