"""Documents to rows."""

from __future__ import annotations

import numpy as np
import pytest

from mobilebert.records import chunking
from mobilebert.records.record_format import SHORTEST_WINDOW, RecordFormat
from mobilebert.settings import Records
from mobilebert.text import sentences, words
from mobilebert.text.dictionary import read_dictionary
from mobilebert.tokenization import SPECIAL
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

TEXT = (
    "北京大学的学生喜欢喝茶。图书馆周末免费开放，孩子们都来听故事！"
    "老桥通往东边的市场；商人把茶叶运到海边。unaffable 旅客 um 乘坐地铁出行。"
)
TOKENIZER = WordPieceTokenizer(
    [*SPECIAL, *sorted({c for c in TEXT if not c.isascii()}), "un", "##aff", "##able", "um", "##m"], True
)
PAD, UNK, CLS, SEP, MASK = TOKENIZER.special_ids


def packed(texts: list[str], length: int = 32, **changed: object) -> tuple[chunking.Packed, RecordFormat]:
    form = RecordFormat(length, TOKENIZER.size)
    return chunking.pack(
        [text.encode() for text in texts], TOKENIZER, form, Records(sequence_length=length, **changed)
    ), form


def plain(row: np.ndarray, form: RecordFormat) -> list[int]:
    return [int(value) & (form.word_start - 1) for value in row]


def test_windows_hold_every_token_of_a_document_in_order() -> None:
    found, form = packed([TEXT * 3])
    seen = []
    for row in found.rows:
        ids = plain(row, form)
        end = ids.index(SEP)
        assert ids[0] == CLS
        assert set(ids[end + 1 :]) <= {PAD}
        seen += ids[1:end]
    expected = TOKENIZER.encode(TEXT * 3).ids.tolist()
    assert seen == expected[: len(seen)]
    assert len(expected) - len(seen) == found.counts["dropped_tokens"] < SHORTEST_WINDOW


def test_no_window_mixes_documents() -> None:
    texts = [TEXT[:20], TEXT[30:60], TEXT]
    found, _ = packed(texts)
    apart = np.concatenate([packed([text])[0].rows for text in texts])
    assert (found.rows == apart).all()


def test_a_flag_stands_where_a_word_starts_by_character_offset() -> None:
    found, form = packed([TEXT], length=128)
    starts = set(words.boundaries(TEXT).tolist())
    encoding = TOKENIZER.encode(TEXT)
    flags = [bool(value & form.word_start) for value in found.rows[0, 1 : len(encoding) + 1]]
    assert flags == [start in starts for start in encoding.starts.tolist()]
    spelt = [TOKENIZER.token(id) for id in encoding.ids]
    assert flags[spelt.index("##aff")] is False
    assert 0.3 < np.mean(flags) < 0.9


def test_a_users_latin_word_starts_no_word_inside_another(tmp_path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("aff\nＵＭ\n学生（喜欢）\n北京·大学\n", encoding="utf-8")
    cut = words.cutter(read_dictionary(path, True, False), True)
    text = "北京·大学的学生（喜欢）unaffable旅客um。"
    tokenizer = WordPieceTokenizer([*TOKENIZER.tokens, "·", "（", "）"], True)
    tokens = chunking.tokenize([text], tokenizer, RecordFormat(32, tokenizer.size), cut)
    word_start = RecordFormat(32, tokenizer.size).word_start
    starts = [text[at] for at, value in zip(tokens.starts, tokens.values, strict=True) if value & word_start]
    assert starts == ["北", "的", "学", "u", "旅", "u", "。"]


def test_a_cut_word_goes_on_as_a_word_of_its_own() -> None:
    found, form = packed([TEXT * 3], length=16)
    assert (found.rows[:, 1] >= form.word_start).all()
    assert (plain(found.rows[0], form)[0], found.rows[0, 0] < form.word_start) == (CLS, True)


@pytest.mark.parametrize(
    ("tokens", "rows", "dropped"), [(7, 0, 7), (8, 1, 0), (30, 1, 0), (37, 1, 7), (38, 2, 0), (60, 2, 0)]
)
def test_short_rests_are_dropped_and_counted(tokens: int, rows: int, dropped: int) -> None:
    found, _ = packed(["茶" * tokens])
    assert len(found.rows) == rows
    assert found.counts["dropped_tokens"] == dropped
    assert found.counts["short_documents"] == (rows == 0)
    assert found.counts["train_tokens"] + found.counts["heldout_tokens"] == tokens - dropped


def test_pairs_split_a_window_where_a_sentence_starts() -> None:
    texts = [TEXT * 2 + "茶" * n for n in range(12, 52)]
    found, form = packed(texts, length=64, layout="pairs")
    windows, _ = packed(texts, length=63)
    assert len(found.rows) == len(windows.rows)
    openings = [TEXT[start : start + 2] for start, _ in sentences.spans(TEXT)]
    lengths = set()
    at_sentence = 0
    for row, window in zip(found.rows, windows.rows, strict=True):
        ids = plain(row, form)
        first, second = (index for index, id in enumerate(ids) if id == SEP)
        assert ids[1:first] + ids[first + 1 : second] == [
            id for id in plain(window, form) if id not in (CLS, SEP, PAD)
        ]
        assert 1 < first < second - 1
        assert row[first + 1] >= form.word_start
        lengths.add(first)
        at_sentence += TOKENIZER.decode(ids[first + 1 : first + 3])[:2] in openings
    assert len(lengths) > 3
    assert at_sentence > 0.6 * len(found.rows)  # nearly all but the last windows, which hold tea alone


def test_a_window_without_a_sentence_start_is_split_in_the_middle() -> None:
    found, form = packed(["茶" * 29], length=32, layout="pairs")
    ids = plain(found.rows[0], form)
    assert 8 <= ids.index(SEP) <= 24


def test_held_out_documents_are_chosen_by_their_text_alone() -> None:
    texts = [f"{TEXT}{n}" for n in range(300)]
    found, _ = packed(texts, heldout_share=0.3)
    alone = [packed([text], heldout_share=0.3)[0].heldout for text in texts]
    assert (found.heldout == np.concatenate(alone)).all()
    assert all(len(set(held.tolist())) == 1 for held in alone)
    assert 0.2 < found.counts["heldout_documents"] / 300 < 0.4
    more, _ = packed(texts, heldout_share=0.4)
    assert (more.heldout >= found.heldout).all()


def test_bytes_are_those_of_the_documents_used() -> None:
    found, _ = packed([TEXT, "茶"], heldout_share=0.01)
    assert found.counts["train_bytes"] + found.counts["heldout_bytes"] == len(TEXT.encode())


def test_large_vocabularies_take_four_bytes() -> None:
    large = WordPieceTokenizer([*SPECIAL, *(f"[unused{n}]" for n in range(40000)), *"茶叶"], True)
    form = RecordFormat(32, large.size)
    rows = chunking.pack([("茶叶" * 15).encode()], large, form, Records(sequence_length=32)).rows
    assert rows.dtype == np.dtype("<u4")
    assert (rows[0, 1:31] & (form.word_start - 1)).tolist() == [40005, 40006] * 15
    assert rows[0, 1] == 40005 + 2**31
