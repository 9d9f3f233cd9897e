"""The wordpiece tokenizer against Google's algorithm written plainly, and against transformers."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import unicodedata
from pathlib import Path

import pytest
import reference_bert

from mobilebert.errors import UserError
from mobilebert.tokenization import SPECIAL
from mobilebert.tokenization.files import read_vocabulary
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

WORDS = [
    "中",
    "国",
    "城",
    "豈",
    "，",
    "。",
    ".",
    "！",
    "-",
    "un",
    "##aff",
    "##able",
    "able",
    "caf",
    "##e",
    "σ",
    "α",
    "##σ",
    "##ς",
    "αβ",
    "ａ",
    "1",
    "##9",
]
JAMO = ["ᄒ", "##ᅡ", "##ᆫ"]


@pytest.fixture(scope="module")
def small() -> WordPieceTokenizer:
    return WordPieceTokenizer([*SPECIAL, *WORDS, *JAMO, "\u2028", "##\u2028"], lowercase=True)


def written(tokenizer: WordPieceTokenizer, text: str) -> list[str]:
    return [tokenizer.token(id) for id in tokenizer.encode(text).ids]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("中国，unaffable。", ["中", "国", "，", "un", "##aff", "##able", "。"]),
        ("CAFÉ", ["caf", "##e"]),
        (
            "un\u200baff\u00adable",
            ["un", "##aff", "##able"],
        ),  # zero-width space and soft hyphen vanish without splitting
        ("中\u0301国", ["中", "国"]),
        ("\u2028\u2029 \t", []),
        ("龘 xyz", ["[UNK]", "[UNK]"]),
        ("\uf900国", ["豈", "国"]),  # a compatibility ideograph is its plain form
        ("ΑΣ", ["α", "##ς"]),  # final sigma
        ("Σ.Α", ["σ", ".", "α"]),  # not final: Python looks past the full stop
        ("Σ.", ["σ", "."]),
        ("한", ["ᄒ", "##ᅡ", "##ᆫ"]),
        ("able" * 51, ["[UNK]"]),  # over 200 characters
        ("", []),
    ],
)
def test_text_becomes_the_tokens_that_google_gives(
    small: WordPieceTokenizer, text: str, expected: list[str]
) -> None:
    assert written(small, text) == expected
    assert reference_bert.tokenize(text, dict.fromkeys(small.tokens, 0), True) == expected


def test_any_code_points_in_any_order_give_the_reference_tokens(small: WordPieceTokenizer) -> None:
    chance = random.Random(1)
    pool = [
        *"中国，。.-!~～aSΣσéİ한 \t\u3000\u2028\u200b\u0301\0\ufffd",
        *(chr(chance.randrange(0x20000)) for _ in range(3000)),
    ]
    pool = [c for c in pool if not "\ud800" <= c <= "\udfff"]
    for lowercase in (True, False):
        tokenizer = WordPieceTokenizer([*SPECIAL, *dict.fromkeys(pool[:1500]), *WORDS, "##\u0301"], lowercase)
        vocabulary = {token.strip(): 0 for token in tokenizer.tokens}
        for _ in range(1500):
            text = "".join(chance.choice(pool) for _ in range(chance.randrange(30)))
            assert [t.strip() for t in written(tokenizer, text)] == reference_bert.tokenize(
                text, vocabulary, lowercase
            ), ascii(text)


def test_offsets_point_at_the_given_text(small: WordPieceTokenizer) -> None:
    text = "　CAFÉ\u200b中 Cafe\u0301。"
    encoding = small.encode(text)
    spans = [text[a:b] for a, b in zip(encoding.starts, encoding.ends, strict=True)]
    assert spans == ["CAF", "É", "中", "Caf", "e", "。"]


def test_a_character_that_becomes_several_tokens_lends_them_all_its_offsets(
    small: WordPieceTokenizer,
) -> None:
    encoding = small.encode("国한")
    assert encoding.starts.tolist() == [0, 1, 1, 1]
    assert encoding.ends.tolist() == [1, 2, 2, 2]


def test_marks_that_change_places_keep_their_own_offsets() -> None:
    tokenizer = WordPieceTokenizer([*SPECIAL, "a", "##\u302e", "##\u1b44"], lowercase=True)
    encoding = tokenizer.encode("。a\u302e\u1b44")
    assert [tokenizer.token(id) for id in encoding.ids] == ["[UNK]", "a", "##\u1b44", "##\u302e"]
    assert (encoding.starts.tolist(), encoding.ends.tolist()) == ([0, 1, 3, 2], [1, 2, 4, 3])


def test_many_texts_at_once_give_what_one_by_one_gives(small: WordPieceTokenizer) -> None:
    texts = ["中国", "", "un affable", "\n", "CAFÉ。", ""]
    for text, many in zip(texts, small.encode_many(texts), strict=True):
        one = small.encode(text)
        for part in ("ids", "starts", "ends"):
            assert getattr(many, part).tolist() == getattr(one, part).tolist()
            assert getattr(many, part).dtype == "int32"


def test_decoding_glues_pieces_and_han(small: WordPieceTokenizer) -> None:
    assert small.decode(small.encode("中国 unaffable able。").ids) == "中国unaffable able。"


def test_the_vocabulary_file_ends_lines_at_line_feeds_only(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\n".join([*SPECIAL, "\u2028", "中", "##\x85"]).encode() + b"\n")
    assert read_vocabulary(path) == [*SPECIAL, "\u2028", "中", "##\x85"]


def test_a_vocabulary_without_special_tokens_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n中\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"vocab\.txt.*\[CLS\]"):
        read_vocabulary(path)


@pytest.fixture(scope="module")
def google(shared_data: Path) -> WordPieceTokenizer:
    return WordPieceTokenizer(read_vocabulary(shared_data / "vocab" / "vocab.txt"), lowercase=True)


def lines(shared_data: Path, name: str, count: int) -> list[str]:
    with gzip.open(shared_data / "corpus" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in itertools.islice(stream, count)]


KINDS = (
    "articles_markdown",
    "hant_classical_verse",
    "dialogue",
    "subtitles_ass",
    "mojibake",
    "wiki_paragraphs_hant",
)


@pytest.mark.parametrize("kind", KINDS)
def test_real_text_gives_googles_tokens(google: WordPieceTokenizer, shared_data: Path, kind: str) -> None:
    assert google.size == 21128
    vocabulary = {token.strip(): id for id, token in enumerate(google.tokens)}
    texts = [text[:2000] for text in lines(shared_data, kind, 60)]
    for text, encoding in zip(texts, google.encode_many(texts), strict=True):
        expected = [vocabulary[token] for token in reference_bert.tokenize(text, vocabulary, True)]
        assert encoding.ids.tolist() == expected
        plain = [token.removeprefix("##") for token in map(google.token, encoding.ids)]
        for token, a, b in zip(plain, encoding.starts, encoding.ends, strict=True):
            seen = unicodedata.normalize("NFD", text[a:b].lower())
            assert token == "[UNK]" or token in "".join(
                c for c in seen if unicodedata.category(c) not in ("Mn", "Cf", "Cc") and c != "\ufffd"
            )


def test_wiki_text_gives_the_ids_of_transformers_python_tokenizer(
    google: WordPieceTokenizer, shared_data: Path
) -> None:
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    judge = BertTokenizerLegacy(str(shared_data / "vocab" / "vocab.txt"))
    texts = lines(shared_data, "wiki_paragraphs_hans", 100)
    for text, encoding in zip(texts, google.encode_many(texts), strict=True):
        assert encoding.ids.tolist() == judge.convert_tokens_to_ids(judge.tokenize(text))
