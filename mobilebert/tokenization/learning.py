"""Learn a vocabulary from the corpus with sentencepiece: unigram or BPE."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import sentencepiece

from mobilebert.errors import UserError
from mobilebert.settings import Vocabulary
from mobilebert.text import words
from mobilebert.tokenization import google, learned, protobuf
from mobilebert.tokenization.tokenizer import CLS, MASK, PAD, SEP, SPECIAL, UNK

# The trainer's sums depend on how many threads share them (1, 2 and 4 gave three models, measured), so the
# number is fixed, whatever the machine or the rule has.
THREADS = 4
WORD_MARK = "\x01"  # between words of the training text; no clean text holds it
SCORE_STEP = (
    2.0**-6
)  # of log probabilities near -10: sums stay exact in single precision over some 25,000 tokens
LONGEST_SENTENCE = 1000  # characters; longer lines are cut at a word
# sentencepiece's advice for Chinese is 0.9995; a small vocabulary must leave most of its entries to words.
COVERAGE = 0.9995
CHARACTER_SHARE = 0.75


def learn(texts: Iterable[str], settings: Vocabulary) -> bytes:
    """A sentencepiece model (the bytes of spm.model) with [PAD] [UNK] [CLS] [SEP] [MASK] as ids 0 to 4.

    Pieces never reach over a word boundary of the training text, so most are words or parts of words. The
    model's own normalizer makes text plain as `learned.plain` does.

    Args:
        texts: documents; they are held in memory (`sample` bounds them).
        settings: kind of model, size, casing.

    Raises:
        UserError: the corpus is too small for the size; the message says what would fit.
    """
    sentences = [line for text in texts for line in _sentences(text, settings.learns_lowercase)]
    if not sentences:
        raise UserError("corpus: no text to learn a vocabulary from")
    made = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text(
            "".join(f"{a:X}\t{b:X}\n" for a, b in learned.rules(settings.learns_lowercase).items()),
            encoding="ascii",
        )
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(_common(sentences, settings.size)),
                model_writer=made,
                model_type=settings.model,
                vocab_size=settings.size,
                character_coverage=1.0,
                normalization_rule_tsv=str(rules),
                add_dummy_prefix=False,
                remove_extra_whitespaces=True,
                split_digits=True,
                pretokenization_delimiter=WORD_MARK,
                max_sentence_length=1 << 20,
                num_threads=THREADS,
                minloglevel=1,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                pad_piece=PAD,
                unk_piece=UNK,
                bos_piece=CLS,
                eos_piece=SEP,
                control_symbols=[MASK],
            )
        except RuntimeError as error:
            raise _too_small(error, sentences, settings.size) from None
    return protobuf.settled(made.getvalue(), SCORE_STEP)


def _sentences(text: str, lowercase: bool) -> Iterator[str]:
    """Lines of a document in plain text with a mark between words; a space belongs to the Latin word that
    follows it.
    """
    for line in text.replace(WORD_MARK, " ").splitlines():
        plain, _ = learned.plain(line, lowercase)
        starts = [
            int(start)
            for start in words.boundaries(plain)[1:]
            if plain[start - 1] != " " or _is_han(plain[start])
        ]
        word_list = [plain[a:b] for a, b in zip([0, *starts], [*starts, len(plain)], strict=True)]
        first = length = 0
        for index, word in enumerate(word_list):
            if length and length + len(word) > LONGEST_SENTENCE:
                yield WORD_MARK.join(word_list[first:index])
                first, length = index, 0
            length += len(word)
        if length:
            yield WORD_MARK.join(word_list[first:])


def _is_han(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in google.HAN_RANGES)


def _common(sentences: list[str], size: int) -> list[str]:
    """The sentences without their rare characters, which are left to [UNK]: those beyond `COVERAGE` of the
    text, and those for which a vocabulary of `size` has no room (sentencepiece's own `character_coverage`
    takes nothing below 0.98).
    """
    counts = np.bincount(
        np.frombuffer("".join(sentences).encode("utf-32-le"), np.uint32), minlength=ord(WORD_MARK) + 1
    )
    counts[ord(WORD_MARK)] = 0
    order = np.argsort(-counts, kind="stable")
    needed = int(np.searchsorted(np.cumsum(counts[order]), COVERAGE * counts.sum())) + 1
    rare = order[min(needed, int(CHARACTER_SHARE * (size - len(SPECIAL)))) :]
    table = dict.fromkeys(rare[counts[rare] > 0].tolist(), WORD_MARK)
    marks = re.compile(f"{WORD_MARK}+")
    return [
        kept
        for sentence in sentences
        if (kept := marks.sub(WORD_MARK, sentence.translate(table)).strip(WORD_MARK))
    ]


def _too_small(error: RuntimeError, sentences: list[str], size: int) -> UserError:
    fits = re.search(r"value <= (\d+)", str(error))
    if fits is None:
        return UserError(f"vocabulary: sentencepiece could not learn {size} entries: {error}")
    characters = sum(map(len, sentences))
    return UserError(
        f"vocabulary.size: {size} is more than this corpus gives ({characters} characters were read); "
        f"set it to at most {fits[1]}, or give more text"
    )
