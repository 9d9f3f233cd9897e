"""Learned vocabularies: sentencepiece itself and transformers give the same ids as our tokenizer."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import sentencepiece

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.settings import Vocabulary
from mobilebert.storage import artifacts
from mobilebert.tokenization import files, learning, word_cuts
from tests import clauses

CLAUSES = (
    *clauses.CLAUSES,
    *(
        "古代诗人写下许多诗歌",
        "科学家研究植物生长",
        "工厂生产汽车零件",
        "音乐会晚上八点开始",
        "飞机降落在首都机场",
        "医生建议多吃蔬菜",
    ),
    *(
        "公司发布最新产品",
        "政府修建高速铁路",
        "博物馆展出珍贵文物",
        "孩子喜欢听故事",
        "农民收获小麦玉米",
        "图书馆周末免费开放",
    ),
    *(
        "警察维护交通秩序",
        "银行调整贷款利率",
        "摄影爱好者拍摄日出",
        "旅客乘坐地铁出行",
        "作家完成长篇小说",
        "工程师设计新型桥梁",
    ),
    *(
        "教授讲授经济理论",
        "志愿者清理海滩垃圾",
        "餐厅推出特色菜肴",
        "气象部门预报暴雨",
        "画家举办个人展览",
        "运动员刷新世界纪录",
    ),
    *("足球比赛非常精彩", "电影获得观众好评", "Beijing 的 History 很长"),
)
LATIN = ("River", "Museum of Art", "Python 3.11", "tea house", "2019年", "NASA", "e-mail", "École")


def documents(count: int) -> list[str]:
    chance = random.Random(3)
    made = []
    for _ in range(count):
        clauses = (f"{chance.choice(CLAUSES)}{chance.choice(('', chance.choice(LATIN)))}" for _ in range(8))
        made.append(
            "，".join(clauses) + "。\n" + "".join(chance.sample("东西南北山川湖海日月星云风雨雪", 7)) + "。"
        )
    return made


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def learned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    settings = Vocabulary(model=request.param, size=300)
    with artifacts.writing(folder, "tokenizer") as writer:
        files.write(writer, "sentencepiece", learning.learn(documents(300), settings), True)
    return folder


TEXTS = (
    *documents(40),
    "",
    " \u3000\n",
    "  商人 \t\u3000 TEA  House\n",
    "龘靐齉 unknown 鱻 chars",
    "İstanbul ÉCOLE ﬁ",
    "😀商人\u200b茶叶",
    "▁商人 ▁ 茶叶▁ ▁",
)


def test_ids_equal_sentencepiece_and_transformers(learned: Path) -> None:
    from transformers import AutoTokenizer

    ours = tokenization.load(learned)
    itself = sentencepiece.SentencePieceProcessor(model_file=str(learned / "spm.model"))
    theirs = AutoTokenizer.from_pretrained(str(learned))
    for text in TEXTS:
        ids = ours.encode(text).ids.tolist()
        assert ids == itself.encode(text), text
        assert [ours.cls, *ids, ours.sep] == theirs(text)["input_ids"], text
    assert any(ours.unk in ours.encode(text).ids for text in TEXTS)


def test_words_of_the_written_tokenizer_end_where_no_entry_goes_on(learned: Path) -> None:
    from transformers import AutoTokenizer

    ours, theirs = tokenization.load(learned), AutoTokenizer.from_pretrained(str(learned))
    pairs = {token[n : n + 2] for token in ours.tokens[5:] for n in range(len(token) - 1)}
    for text in (text.lower().replace("\n", " ") for text in TEXTS[:40]):
        encoding = theirs(text, add_special_tokens=False)[0]
        words = [encoding.word_to_chars(word) for word in sorted(set(encoding.word_ids))]
        assert len(words) > len(text) // 4
        shown = text.replace(" ", "▁")
        assert not [start for start, _ in words if shown[max(0, start - 1) : start + 1] in pairs]


def test_marks_that_regular_expressions_use_are_characters_like_others() -> None:
    made = word_cuts.pattern([*"abc-+.[]^|", "--", "c++", "...", "[^", "ab", "▁a"])
    words = ["a", "--", "b", "c++", "...", "[^", "]", "|", "-", "▁ab", "ab", "龘鱻"]
    assert re.findall(made, "".join(words)) == words
    assert not re.search(r"[|:]\\-", made)  # JavaScript takes an escaped hyphen in brackets only


def test_special_tokens_have_the_first_ids(learned: Path) -> None:
    from transformers import AutoTokenizer

    ours, theirs = tokenization.load(learned), AutoTokenizer.from_pretrained(str(learned))
    assert ours.special_ids == (0, 1, 2, 3, 4)
    assert [ours.token(id) for id in range(5)] == list(tokenization.SPECIAL)
    assert (
        theirs.pad_token_id,
        theirs.unk_token_id,
        theirs.cls_token_id,
        theirs.sep_token_id,
        theirs.mask_token_id,
    ) == (0, 1, 2, 3, 4)
    assert ours.size == theirs.vocab_size == 300
    assert theirs("商人", "茶叶")["token_type_ids"] == [0] * (len(ours.encode("商人")) + 2) + [1] * (
        len(ours.encode("茶叶")) + 1
    )


def test_offsets_point_at_the_given_text_without_the_space_in_front(learned: Path) -> None:
    ours = tokenization.load(learned)
    for text in TEXTS:
        encoding = ours.encode(text)
        for id, start, end in zip(encoding.ids, encoding.starts, encoding.ends, strict=True):
            piece = ours.token(id)
            if id != ours.unk and piece != "▁":
                assert text[start:end].lower().replace("i̇", "i").split() == piece.strip("▁").split(), (
                    text,
                    piece,
                )
    mixed = ours.encode("  商人 \t TEA")
    covered = {i for a, b in zip(mixed.starts, mixed.ends, strict=True) for i in range(a, b)}
    assert {2, 3, 7, 8, 9} <= covered


def test_sentencepieces_own_mark_in_a_text_is_a_space_and_shifts_no_offset(learned: Path) -> None:
    tokenizer = files.load(learned)
    marked, plain = (tokenizer.encode(text) for text in ("▁商人 ▁ 茶叶▁", " 商人   茶叶 "))
    assert all((getattr(marked, name) == getattr(plain, name)).all() for name in ("ids", "starts", "ends"))


def test_pieces_do_not_reach_over_words(learned: Path) -> None:
    ours = tokenization.load(learned)
    assert not [
        piece
        for piece in ours.tokens
        if "的市" in piece or "河的" in piece or ("，" in piece and len(piece) > 1)
    ]


def test_equal_work_gives_equal_bytes_and_no_path_stays(learned: Path) -> None:
    kind = (
        "unigram"
        if (learned / "tokenizer.json").read_text(encoding="utf-8").find('"Unigram"') >= 0
        else "bpe"
    )
    again = learning.learn(documents(300), Vocabulary(model=kind, size=300))
    assert again == (learned / "spm.model").read_bytes()
    assert b"rules.tsv" not in again


def test_a_copy_in_a_model_directory_is_the_same_tokenizer(learned: Path, tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "model", "model") as writer:
        tokenization.copy_files(learned, writer)
    copied, original = tokenization.load(tmp_path / "model"), tokenization.load(learned)
    assert copied.digest == original.digest
    assert not (tmp_path / "model" / "vocab.txt").exists()
    assert copied.encode("商人").ids.tolist() == original.encode("商人").ids.tolist()


def test_decoding_gives_the_plain_text_back(learned: Path) -> None:
    ours = tokenization.load(learned)
    assert ours.decode(ours.encode("东西南北  Tea House\n山川").ids) == "东西南北 tea house 山川"


def test_capitals_stay_when_they_are_asked_for(tmp_path: Path) -> None:
    model = learning.learn(documents(300), Vocabulary(model="bpe", size=320, lowercase=False))
    with artifacts.writing(tmp_path, "tokenizer") as writer:
        ours = files.write(writer, "sentencepiece", model, False)
    assert any("N" in token for token in ours.tokens[5:])
    assert ours.digest != ""
    assert ours.encode("NASA").ids.tolist() != ours.encode("nasa").ids.tolist()


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_corpus_too_small_says_what_would_fit(kind: str) -> None:
    with pytest.raises(UserError, match=r"vocabulary\.size: 4000 .* at most (\d+)") as caught:
        learning.learn(documents(4), Vocabulary(model=kind, size=4000))
    fits = int(str(caught.value).split("at most ")[1].split(",")[0])
    assert 50 < fits < 4000


def test_no_text_at_all_is_said_so() -> None:
    with pytest.raises(UserError, match="no text"):
        learning.learn(["", "\n"], Vocabulary())


def test_lone_surrogates_and_nul_do_not_stop_a_run(learned: Path) -> None:
    ours = tokenization.load(learned)
    encoding = ours.encode("商人\ud800\0茶叶")
    assert encoding.ends[-1] == 6
