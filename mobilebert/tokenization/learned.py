"""The `sentencepiece` tokenizer: pieces learned from the corpus.

Text is first made plain here, one character for one (white space becomes a space, capitals become small, runs
of spaces become one), with a map back to the given characters. The model carries the same rules inside, so
sentencepiece itself gives the same ids on the raw text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from mobilebert.errors import UserError
from mobilebert.tokenization.tokenizer import Encoding, Tokenizer

CODE_POINTS = 0x110000
SPACE_MARK = "▁"  # U+2581, sentencepiece's written space
REPLACEMENT = 0xFFFD


class SentencePieceTokenizer(Tokenizer):
    """A sentencepiece model whose normalization is the one of `plain`."""

    kind = "sentencepiece"

    def __init__(self, model: Path, lowercase: bool) -> None:
        """Args: the file spm.model; whether it was learned on small letters.

        Raises:
            UserError: the file is no sentencepiece model, or lacks a special token.
        """
        self._model_bytes = model.read_bytes()
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self._model_bytes)
        except (RuntimeError, OSError) as error:
            raise UserError(f"{model}: not a sentencepiece model ({error})") from None
        super().__init__(
            [self._processor.id_to_piece(id) for id in range(self._processor.get_piece_size())],
            lowercase,
            str(model),
        )
        self._lengths = np.array([len(token) for token in self.tokens], np.int32)
        # The space in front of a word is no part of its span.
        self._spaced = np.array(
            [token[0] == SPACE_MARK and len(token) > 1 for token in self.tokens], np.int32
        )

    def encode_many(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokens of each text; unknown characters that follow each other are one [UNK], as sentencepiece
        has it.
        """
        made = [plain(text, self.lowercase) for text in texts]
        id_lists = self._processor.encode([text for text, _ in made], out_type=int, num_threads=1)
        return [
            self._encoding(np.array(ids, np.int32), text, index)
            for ids, (text, index) in zip(id_lists, made, strict=True)
        ]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Pieces joined, with their spaces."""
        return "".join(self.tokens[int(id)] for id in ids).replace(SPACE_MARK, " ").strip()

    def _encoding(self, ids: np.ndarray, text: str, index: np.ndarray) -> Encoding:
        lengths = self._lengths[ids]
        if (ids == self.unk).any():  # only the written pieces tell how long an unknown stretch is
            lengths = np.array([len(token) for token in self._processor.encode(text, out_type=str)], np.int32)
        lasts = np.cumsum(lengths)
        starts = index[lasts - lengths + self._spaced[ids]]
        return Encoding(ids, starts, (index[lasts - 1] + 1).astype(np.int32))

    def _shape(self) -> bytes:
        return self._model_bytes


def plain(text: str, lowercase: bool) -> tuple[str, np.ndarray]:
    """The text that the model sees, and (n,) int32: where each of its characters stands in the given text."""
    points = _table(lowercase)[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]
    spaces = points == ord(" ")
    keep = ~spaces
    keep[1:] |= ~spaces[:-1]  # the first space of a run stays
    if keep.size:
        kept = np.flatnonzero(~spaces)
        keep[: kept[0] if kept.size else None] = False
        keep[kept[-1] + 1 if kept.size else 0 :] = False
    return points[keep].tobytes().decode("utf-32-le"), np.flatnonzero(keep).astype(np.int32)


def rules(lowercase: bool) -> dict[int, int]:
    """The same as single-character rules, code point -> code point, for the model's own normalizer;
    surrogates cannot stand there.
    """
    table = _table(lowercase)
    changed = np.flatnonzero(table != np.arange(CODE_POINTS)).tolist()
    return {point: int(table[point]) for point in changed if table[point] != REPLACEMENT}


@functools.cache
def _table(lowercase: bool) -> np.ndarray:
    """(0x110000,) uint32: the character that stands for each."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for point in range(1, CODE_POINTS):
        character = chr(point)
        if (
            character.isspace() or character == SPACE_MARK
        ):  # in a text, sentencepiece takes its mark for the space that it writes so
            table[point] = ord(" ")
        elif lowercase and (small := character.lower()) != character:
            table[point] = ord(small[0])  # U+0130 alone has a longer one: i and a dot
    table[0xD800:0xE000] = REPLACEMENT
    return table
