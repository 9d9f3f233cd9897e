"""A tokenizer built here against the one that the source itself describes, on texts of many kinds."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from mobilebert.errors import UserError
from mobilebert.tokenization.source_files import SHARED, bert_normalizer, is_mark, listed
from mobilebert.tokenization.tokenizer import Tokenizer
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

PROBES = (
    "今天下午，图书馆的自习室里坐满了准备考试的学生。",
    "她把 iPhone 15 Pro 的价格（5999.00 元）记在了本子上！",
    "他在iPhone上打开了APP，看NBA和WTO的新闻",
    "臺灣的鐵路從基隆到高雄，長四百零四公里。",
    "Élan é的è一 naïve Ångström Ñandú straße",
    "email@example.com https://example.com/a_b?c=1#d C++ 3.14% $5",
    "ひらがなとカタカナ 한국어 ไทย Привет αβγ",
    "全角ＡＢＣ１２３，　空格\t制表\n换行",
    "“引号”‘单’《书名》——……、·「」",
    "unbelievable internationalization x86_64 2024-05-06",
)
ENTRIES = 200  # of the vocabulary itself, spread over it, as one more text


def check(ours: WordPieceTokenizer, described: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with a tokenizer that gives other ids than the source's own tokenizer.json.

    Args:
        ours: built from the source's files and settings.
        described: the content of tokenizer.json; the flags that were decided replace its own.
        path: its file, for messages.

    Raises:
        UserError: showing a text and its tokens both ways.
    """
    theirs = _opened(_with_flags(ours, described), path)
    if theirs is None:
        return
    for text in [*PROBES, _entries(ours)]:
        built, own = ours.encode(text).ids.tolist(), theirs.encode(text, add_special_tokens=False).ids
        if built != own:
            pairs = enumerate(zip(built, own, strict=False))
            first = next((n for n, (a, b) in pairs if a != b), min(len(built), len(own)))
            near = slice(max(0, first - 2), first + 4)
            raise UserError(
                f"{path}: gives other tokens than BERT's rules with its vocabulary, in {text[:40]!r}: "
                f"{' '.join(map(str, map(theirs.id_to_token, own[near])))!r} instead of "
                f"{' '.join(map(ours.token, built[near]))!r} (token {first}); a tokenizer of this kind is "
                f"not reproduced here"
            )
    logging.info("%s: gives the same ids on %d texts", path, len(PROBES) + 1)


def warn_of_unmet(ours: WordPieceTokenizer, source: Path) -> None:
    """Warn of entries with letters that their own text does not give: with capitals or accents where text
    loses them, of several Han characters.
    """
    words = [
        token
        for token in ours.tokens
        if any(map(str.isalpha, token)) and not token.startswith("##") and not is_mark(token)
    ]
    unmet = [
        word
        for word, encoding in zip(words, ours.encode_many(words), strict=True)
        if all(ours.token(id).strip() != word.strip() for id in encoding.ids)
    ]
    if unmet:
        lost = ("is lower-cased, " if ours.lowercase else "") + (
            "loses accents, " if ours.strip_accents else ""
        )
        logging.warning(
            "%s: %s can never be met (%d of %d entries): text %shas its Han characters one by one; write "
            "entries so, or set vocabulary.lowercase",
            *(source, listed(unmet), len(unmet), ours.size, lost),
        )


def is_same(ours: Tokenizer, described: Mapping[str, Any], path: Path) -> bool:
    """Whether a tokenizer.json holds the entries of a tokenizer of ours and gives its ids on all probes."""
    theirs = _opened(described, path)
    if theirs is None or theirs.get_vocab() != {token: id for id, token in enumerate(ours.tokens)}:
        return False
    return all(
        ours.encode(text).ids.tolist() == theirs.encode(text, add_special_tokens=False).ids
        for text in [*PROBES, _entries(ours)]
    )


def _with_flags(ours: WordPieceTokenizer, described: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json with the flags that were decided in place of its own."""
    body: dict[str, Any] = json.loads(json.dumps(described))
    flags = {"do_lower_case": ours.lowercase, "strip_accents": ours.strip_accents}
    if normalizer := bert_normalizer(body):
        normalizer.update({SHARED[key]: value for key, value in flags.items()})
    return body


def _opened(body: Mapping[str, Any], path: Path) -> tokenizers.Tokenizer | None:
    try:
        return tokenizers.Tokenizer.from_str(json.dumps({**body, "padding": None, "truncation": None}))
    except Exception as error:  # the library has no class of its own for it
        logging.warning(
            "%s: tokenizers %s cannot open it (%s); not compared", path, tokenizers.__version__, error
        )
        return None


def _entries(ours: Tokenizer) -> str:
    """Entries of letters, digits and marks, a space between them."""
    chosen = [
        token
        for token in ours.tokens[:: max(1, ours.size // ENTRIES)]
        if not is_mark(token) and all(unicodedata.category(c)[0] in "LNP" for c in token)
    ]
    return " ".join(chosen)
