"""Vocabularies and tokenizers as people have them: flags, added words, edited entries."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, pre_tokenizers

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.settings import Vocabulary
from mobilebert.storage import artifacts
from mobilebert.tokenization import files, importing, learning
from scripts import import_vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKENS = [
    *("[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *"他在上打开了看和的新闻一是与冠茶叶，。éè",
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *("app", "nba"),
]
PLAIN = [token for token in TOKENS if token not in "éè"]
TEXT = "他在APP上看NBA的新闻"


def folder_of(tmp_path: Path, tokens: list[str] = TOKENS, **configured: Any) -> Path:
    """A folder with vocab.txt, and tokenizer_config.json if it says anything."""
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    if configured:
        body = {"tokenizer_class": "BertTokenizer"} | configured
        (folder / "tokenizer_config.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def imported(source: Path, out: Path, lowercase: Any = "auto") -> tokenization.Tokenizer:
    """Through the command import_vocabulary."""
    settings = json.dumps({"vocabulary": {"kind": "file", "lowercase": lowercase}})
    arguments = ["--source", str(source), "--out", str(out), "--settings", settings]
    import_vocabulary.main(import_vocabulary.parser().parse_args(arguments))
    return tokenization.load(out)


def spelt(tokenizer: tokenization.Tokenizer, text: str) -> list[str]:
    return [tokenizer.token(id) for id in tokenizer.encode(text).ids]


def theirs(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def test_one_capital_entry_leaves_text_lower_cased_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = ["APP" if token == "[unused1]" else token for token in PLAIN]
    ours = imported(folder_of(tmp_path, tokens) / "vocab.txt", tmp_path / "out")
    assert spelt(ours, TEXT) == ["他", "在", "app", "上", "看", "nba", "的", "新", "闻"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f": APP can never be met (1 of {len(tokens)} entries): text is lower-cased" in line


def test_an_entry_of_several_han_characters_is_named_as_never_met(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = ["茶叶" if token == "[unused1]" else token for token in PLAIN]
    imported(folder_of(tmp_path, tokens) / "vocab.txt", tmp_path / "out")
    assert ": 茶叶 can never be met (1 of" in caplog.text


def test_all_capital_letters_as_entries_keep_capitals(tmp_path: Path) -> None:
    ours = imported(folder_of(tmp_path, [*TOKENS, *LETTERS.upper()]) / "vocab.txt", tmp_path / "out")
    assert not ours.lowercase


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_setting_decides_on_casing(tmp_path: Path, lowercase: bool) -> None:
    source = folder_of(tmp_path, do_lower_case=not lowercase)
    ours = imported(source, tmp_path / "out", lowercase)
    assert ours.lowercase == lowercase
    assert ("app" in spelt(ours, TEXT)) == lowercase
    assert [ours.cls, *ours.encode(TEXT).ids, ours.sep] == theirs(tmp_path / "out")(TEXT)["input_ids"]


@pytest.mark.parametrize(("name", "lowercase"), [("BertTokenizer", False), ("PreTrainedTokenizerFast", True)])
def test_files_that_disagree_are_named_and_read_as_transformers_does(
    name: str, lowercase: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = folder_of(tmp_path, do_lower_case=True)
    theirs(source).save_pretrained(source)
    folder_of(tmp_path, do_lower_case=False, tokenizer_class=name)
    ours = imported(source, tmp_path / "out")
    assert ours.lowercase == lowercase
    assert [ours.cls, *ours.encode(TEXT).ids, ours.sep] == theirs(source)(TEXT)["input_ids"]
    assert "tokenizer_config.json says do_lower_case: false, tokenizer.json says true" in caplog.text


def test_kept_capitals_without_an_entry_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    imported(folder_of(tmp_path, do_lower_case=False), tmp_path / "out")
    assert "no entry has one, so every word with a capital is [UNK]" in caplog.text


def test_accents_stay_where_the_source_keeps_them(tmp_path: Path) -> None:
    source = folder_of(tmp_path, do_lower_case=True, strip_accents=False)
    ours = imported(source, tmp_path / "out")
    assert spelt(ours, "É的è一") == ["é", "的", "è", "一"]
    for folder in (source, tmp_path / "out"):
        wanted = theirs(folder)("É的è一")["input_ids"]
        assert [ours.cls, *ours.encode("É的è一").ids, ours.sep] == wanted
    without = imported(folder_of(tmp_path, do_lower_case=True), tmp_path / "without")
    assert without.digest != ours.digest
    assert spelt(without, "É的è一") == ["e", "的", "e", "一"]


@pytest.mark.parametrize("where", ["tokenizer_config.json", "tokenizer.json"])
def test_unsplit_chinese_is_refused_by_the_name_of_its_flag(tmp_path: Path, where: str) -> None:
    source = folder_of(tmp_path, tokenize_chinese_chars=False)
    if where == "tokenizer.json":
        theirs(source).save_pretrained(source)
        (source / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match="tokenize_chinese_chars: false"):
        imported(source, tmp_path / "out")


@pytest.mark.parametrize("layout", ["added_tokens.json", "tokenizer.json"])
def test_added_words_of_several_characters_are_refused_by_name(tmp_path: Path, layout: str) -> None:
    source = folder_of(tmp_path, do_lower_case=True)
    if layout == "tokenizer.json":
        tokenizer = theirs(source)
        tokenizer.add_tokens(["鼽", "新冠"])
        tokenizer.save_pretrained(source)
        (source / "vocab.txt").unlink()
    else:
        added = {"鼽": len(TOKENS), "新冠": len(TOKENS) + 1}
        (source / layout).write_text(json.dumps(added), encoding="utf-8")
    with pytest.raises(UserError, match="the added tokens 新冠 are no single Han characters"):
        imported(source, tmp_path / "out")


@pytest.mark.parametrize("token", ["[unused1]", {"content": "[unused1]", "__type": "AddedToken"}])
def test_another_unknown_token_is_refused_by_name(tmp_path: Path, token: Any) -> None:
    with pytest.raises(UserError, match=r"unk_token: \[unused1\] \(\[UNK\] is BERT's\)"):
        imported(folder_of(tmp_path, unk_token=token), tmp_path / "out")


def test_an_added_letter_is_refused_as_what_it_is(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    (source / "added_tokens.json").write_text(json.dumps({"ñ": len(TOKENS)}), encoding="utf-8")
    with pytest.raises(UserError, match="the added tokens ñ are no single Han characters or marks"):
        imported(source, tmp_path / "out")


def test_an_added_han_character_is_an_entry_like_others(tmp_path: Path) -> None:
    source = folder_of(tmp_path, do_lower_case=True)
    (source / "added_tokens.json").write_text(json.dumps({"鼽": len(TOKENS)}), encoding="utf-8")
    assert spelt(imported(source, tmp_path / "out"), "他鼽的") == ["他", "鼽", "的"]


def test_another_kind_of_tokenizer_is_shown_by_a_text_it_splits_otherwise(tmp_path: Path) -> None:
    source = folder_of(tmp_path, do_lower_case=True)
    theirs(source).save_pretrained(source)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(source / "tokenizer.json"))
    with pytest.raises(UserError, match=r"tokenizer\.json: gives other tokens than BERT's rules"):
        imported(source, tmp_path / "out")


def test_an_entry_changed_in_vocab_txt_alone_is_named(tmp_path: Path) -> None:
    source = folder_of(tmp_path, do_lower_case=True)
    theirs(source).save_pretrained(source)
    folder_of(tmp_path, ["新冠" if token == "[unused1]" else token for token in TOKENS])
    with pytest.raises(UserError, match=r"'新冠' is entry none here and 1 there"):
        imported(source, tmp_path / "out")


def test_an_entry_twice_is_said_and_gets_the_id_that_transformers_gives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = folder_of(tmp_path, [*TOKENS, "茶"], do_lower_case=True)
    ours = imported(source, tmp_path / "out")
    assert f"1 entries stand there more than once: '茶' ({TOKENS.index('茶')}, {len(TOKENS)})" in caplog.text
    for folder in (source, tmp_path / "out"):
        assert [ours.cls, *ours.encode("茶叶").ids, ours.sep] == theirs(folder)("茶叶")["input_ids"]


def test_line_ends_of_windows_become_no_part_of_an_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*TOKENS, ""]).encode())
    with caplog.at_level(logging.INFO):
        ours = imported(path, tmp_path / "out")
    assert ours.tokens == TOKENS
    assert (tmp_path / "out" / "vocab.txt").read_bytes() == "\n".join([*TOKENS, ""]).encode()
    assert "written with LF" in caplog.text


CLAUSES = (
    *("这家店的手机价格为799元", "比去年便宜了一百元", "很多学生都去图书馆看展览", "老桥通往东边的市场"),
    *("春天山上开满白花", "商人把茶叶运到海边", "湖水在冬天会结冰", "银行调整贷款利率"),
    *("旅客乘坐地铁出行", "政府修建高速铁路", "餐厅推出特色菜肴", "Phone 的价格很便宜"),
)


def learnt(folder: Path, size: int) -> Path:
    chance = random.Random(5)
    texts = ["，".join(chance.choices(CLAUSES, k=8)) + "。" for _ in range(200)]
    with artifacts.writing(folder, "tokenizer") as writer:
        model = learning.learn(texts, Vocabulary.model_construct(model="bpe", size=size))
        files.write(writer, "sentencepiece", model, True)
    return folder


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("learned") / "tokenizer", 130)


def test_an_answer_widened_to_words_is_the_answer(learned: Path) -> None:
    """What transformers' pipeline for question answering does with `align_to_words`."""
    context = "这家店的手机价格为799元，比去年便宜了一百元。"
    encoding = theirs(learned)("价格？", context, return_offsets_mapping=True)[0]
    wanted = (context.index("799"), context.index("799") + 4)
    first, last = encoding.char_to_token(wanted[0], 1), encoding.char_to_token(wanted[1] - 1, 1)
    start, _ = encoding.word_to_chars(encoding.token_to_word(first), 1)
    _, end = encoding.word_to_chars(encoding.token_to_word(last), 1)
    assert (start, end) == wanted


def test_a_learned_tokenizer_saved_again_by_transformers_is_recognised(learned: Path, tmp_path: Path) -> None:
    tokenizer = theirs(learned)
    tokenizer(["很", "便宜的手机"], padding="max_length", max_length=8, truncation=True)
    tokenizer.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "spm.model").exists()
    known = tokenization.load(learned)
    assert importing.digest(tmp_path / "saved", known) == known.digest


def test_another_learned_tokenizer_saved_again_is_refused_with_what_to_copy(
    learned: Path, tmp_path: Path
) -> None:
    known = tokenization.load(learnt(tmp_path / "other", 100))
    theirs(learned).save_pretrained(tmp_path / "saved")
    with pytest.raises(UserError, match=r"not the run's .*copy spm\.model and vocabulary\.json"):
        importing.digest(tmp_path / "saved", known)
    with pytest.raises(UserError, match=r"copy spm\.model and vocabulary\.json"):
        importing.find(tmp_path / "saved")
