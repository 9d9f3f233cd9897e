"""What every tokenizer of this house can do, whatever its vocabulary is made of."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mobilebert.errors import UserError

PAD, UNK, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Encoding:
    """Tokens of one text, without special tokens.

    `ids`, `starts`, `ends` are (N,) int32. Token n covers the characters `starts[n]:ends[n]` of the text as
    it was given, before lower-casing and accent stripping. Starts never decrease; two tokens made of one
    character share its offsets.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


class Tokenizer(ABC):
    """A vocabulary and its algorithm. `tokens[id]` is the written form of a token."""

    kind: str

    def __init__(self, tokens: Sequence[str], lowercase: bool, where: str) -> None:
        """Args: the written forms by id; whether text is lower-cased; the file they come from, for messages.

        Raises:
            UserError: a special token is missing.
        """
        self.tokens = list(tokens)
        self.lowercase = lowercase
        missing = [token for token in SPECIAL if token not in self.tokens]
        if missing:
            raise UserError(
                f"{where}: no {', '.join(missing)} in this vocabulary; BERT needs {', '.join(SPECIAL)}"
            )
        self.pad, self.unk, self.cls, self.sep, self.mask = (self.tokens.index(token) for token in SPECIAL)

    @property
    def size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self.tokens)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids of [PAD] [UNK] [CLS] [SEP] [MASK], in this order."""
        return (self.pad, self.unk, self.cls, self.sep, self.mask)

    @property
    def digest(self) -> str:
        """SHA-256 over kind, casing and vocabulary: equal for the tokenizer artifact and every model
        directory that carries it.
        """
        hasher = hashlib.sha256(f"{self.kind}\n{self.lowercase}\n".encode())
        hasher.update("\n".join(self.tokens).encode("utf-8", "surrogatepass"))
        hasher.update(self._shape())
        return hasher.hexdigest()

    def token(self, id: int) -> str:
        """The written form of an id."""
        return self.tokens[id]

    def encode(self, text: str) -> Encoding:
        """Tokens of one text."""
        return self.encode_many([text])[0]

    @abstractmethod
    def encode_many(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokens of each text, as `encode` gives them one by one, but faster."""

    def encode_joined(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens of texts one after the other.

        Returns:
            (N,) ids, (N,) start offsets in the texts joined by a line end, and (len(texts) + 1,) the number
            of each text's first token.
        """
        encodings = self.encode_many(texts)
        offsets = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1]
        firsts = np.cumsum([0, *map(len, encodings)])
        starts = np.concatenate([encoding.starts for encoding in encodings]) + np.repeat(
            offsets, np.diff(firsts)
        )
        return np.concatenate([encoding.ids for encoding in encodings]), starts, firsts

    @abstractmethod
    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Readable text of ids; special tokens are written out.

        Not the inverse of `encode`: casing and some spaces are lost.
        """

    def _shape(self) -> bytes:
        """What else shapes the ids, for the digest."""
        return b""
