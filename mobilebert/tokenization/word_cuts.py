"""Where a text may be cut into words without changing one id of a learned vocabulary, for `tokenizer.json`.

The tokenizers library numbers the words that its pre-tokenizer cuts, and programs read them: a pipeline for
question answering widens its answers to whole words. Chinese has no spaces, so without cuts a text is one
word. A cut between two characters that stand side by side in no entry can change nothing: no entry reaches
over it, and both sides are spelt apart from each other, by merges (BPE) as by sums of scores (unigram).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence


def pattern(entries: Iterable[str]) -> str:
    """A regular expression that matches a word: characters that follow each other in some entry, or those of
    no entry (which make one [UNK] together).

    Args:
        entries: the written forms, without the special tokens.
    """
    following: dict[str, set[str]] = {}
    characters: set[str] = set()
    for entry in entries:
        characters.update(entry)
        for first, second in itertools.pairwise(entry):
            following.setdefault(first, set()).add(second)
    firsts = sorted(following)
    steps = [f"{_literal(first)}(?=[{_members(following[first])}])" for first in firsts]
    linked = f"(?:{_any(firsts, steps)})*" if steps else ""
    return f"[^{_members(characters)}]+|{linked}[\\s\\S]"


def _any(firsts: Sequence[str], steps: Sequence[str]) -> str:
    """Alternatives behind the range of their first characters: thousands in a row are tried one by one."""
    size = math.isqrt(len(steps)) + 1
    made = []
    for at in range(0, len(steps), size):
        group = firsts[at : at + size]
        reach = f"{_members(group[:1])}-{_members(group[-1:])}"
        made.append(f"(?=[{reach}])(?:{'|'.join(steps[at : at + size])})")
    return "|".join(made)


def _members(characters: Iterable[str]) -> str:
    """The inside of a character class."""
    return "".join("\\-" if c == "-" else _literal(c) for c in sorted(characters))


def _literal(character: str) -> str:
    # JavaScript with the flag u lets no more than these be escaped; tokenizers' Oniguruma takes them so, too.
    return f"\\{character}" if character in r"\^$.*+?()[]{}|" else character
