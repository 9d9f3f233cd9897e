"""How the official CMRC 2018 scorer cuts text into the units that F1 counts ("mixed segmentation").

Characters U+4E00 to U+9FA5 stand alone; everything between them goes through NLTK's `word_tokenize`. Its
rules (the Penn Treebank tokenizer with additions) are restated here as far as they can matter after the
scorer has lower-cased the text and removed its own list of punctuation, so that scoring needs no NLTK and
none of its downloaded data.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# The scorer's list (ymcui/cmrc2018, cmrc2018_evaluate.py). Its entry "……" has two characters and so never
# equals one: the ellipsis stays, and so do the opening quote ‘ and the dots U+2027 and U+30FB, which the list
# does not name.
REMOVED = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_HAN = "\u4e00-\u9fa5"  # as in the scorer: without the extensions

# Penn Treebank rules in their order of application, each a pattern and what it becomes. Rules that need a
# character of REMOVED or an upper-case letter to act are left out.
_RULES = (
    (r"([«‘„])", r" \1 "),
    (r'^"', r" `` "),  # an opening quote
    (r"([ (\[{<])(\"|'')", r"\1 `` "),
    (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", r"' "),
    (
        r"([^.])(\.)([\])}>\"'» ]*+)\s*$",
        r"\1 \2 \3 ",
    ),  # the last full stop, not those of abbreviations before it
    (r",([^\d])", r" , \1"),  # not the comma of 1,000
    (r",$", r" , "),
    (r"(\.{2,})", r" \1 "),
    (r"([;@#$%&])", r" \1 "),
    (r"([\u2012-\u2015])", r" \1 "),  # dashes
    (r"([?!])", r" \1 "),
    (r"([^'])' ", r"\1 ' "),
    (r"([\[\](){}<>])", r" \1 "),
    (r"^|$", r" "),
    (r"(»)", r" \1 "),
    (r"''|\"", r" '' "),  # a closing quote
    (r"\s+", r" "),
    (r"([^' ])('[smd]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
    (
        r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(more)('n)\b"
        r"|\b(wan)(na)(?=\s)",
        None,
    ),
    (r" ('t)(is)\b", r" \1 \2 "),
    (r" ('t)(was)\b", r" \1 \2 "),
)
# A sentence ends after . ? ! before white space or an opening sign, but not after an initial ("J. Smith") or
# a number ("5. On").
_SENTENCE_END = r"""(?<=[.?!])(?<!(?<![^\s"'(])[^\W\d]\.)(?<!\d\.)(?:\s+(?=\S)|(?=[(\[{@;']))"""


@cache
def _compiled() -> list[tuple[re.Pattern[str], Any]]:
    return [(re.compile(pattern), replacement or _halves) for pattern, replacement in _RULES]


def _halves(match: re.Match[str]) -> str:
    first, second = (group for group in match.groups() if group is not None)
    return f" {first} {second} "


def remove_punctuation(text: Any) -> str:
    """What exact match compares: lower case, stripped, without the scorer's list of punctuation; `str()`
    of anything.
    """
    return "".join(character for character in str(text).lower().strip() if character not in REMOVED)


def mixed_segmentation(text: Any) -> list[str]:
    """The units of a text that F1 counts: single Han characters, and words and signs of what stands
    between them.
    """
    units: list[str] = []
    for run in re.findall(f"[{_HAN}]|[^{_HAN}]+", remove_punctuation(text)):
        units.extend([run] if re.fullmatch(f"[{_HAN}]", run) else _words(run))
    return units


def _words(run: str) -> list[str]:
    # Sentences first, as NLTK: only a sentence's last full stop is cut off. What NLTK's trained sentence
    # model knows beside this, a list of abbreviations ("st. louis"), is not known here.
    return [word for sentence in re.split(_SENTENCE_END, run.strip()) for word in _treebank(sentence)]


def _treebank(sentence: str) -> list[str]:
    for pattern, replacement in _compiled():
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()
