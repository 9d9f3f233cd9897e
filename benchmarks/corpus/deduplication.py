"""How well near-duplicates are found: the 3,200 texts of dedup_mix with known answers, no filter before."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobilebert.corpus import cleaning
from mobilebert.corpus.dedup import block_store, minhash, near_duplicates, verdicts
from mobilebert.settings import Corpus
from mobilebert.text.normalise import normalise

TEXTS, GOLD = "dedup_mix.jsonl.gz", "dedup_mix.gold.jsonl.gz"
BLOCK = 500  # documents
# The gold calls this change a near-duplicate only in texts that are longer.
LONG = ("ten_chars", 250)
KEEP_BOTH = {"half_overlap", "quote_20"}
# A lost group's text is in the corpus if this share of its 5-grams stands in the document that was kept for
# it.
CONTAINED = 0.99
# Similarities that a text could be asked to have with one that holds it whole.
QUOTED = (0.75, 0.8, 0.85, 0.9, 1.0)


@dataclass(frozen=True)
class Judgement:
    """What was found of each change (found, of how many), and the groups that lost every copy."""

    hits_by_change: dict[str, tuple[int, int]]
    groups: int
    lost: int
    lost_with_text_kept: int  # of the lost ones: one document that stays holds their text
    lost_to: dict[str, int]  # by the change that made the kept document
    twins: int  # groups whose original equals that of an earlier group
    forgotten: float  # share of all different 5-grams that are in no text that stays

    @property
    def recall(self) -> float:
        """Share found of what the gold calls duplicates."""
        counted = [
            pair
            for change, pair in self.hits_by_change.items()
            if change not in KEEP_BOTH and not change.endswith("or less)")
        ]
        return sum(hits for hits, _ in counted) / sum(total for _, total in counted)

    @property
    def kept_apart(self) -> str:
        """How many of the pairs that the gold wants kept both are."""
        counted = [pair for change, pair in self.hits_by_change.items() if change in KEEP_BOTH]
        total = sum(total for _, total in counted)
        return f"{total - sum(hits for hits, _ in counted)} of {total}"

    def table(self) -> str:
        """Markdown: a row for each kind of change, then the sums."""
        rows = [
            f"| {change} | {hits} of {total} |\n" for change, (hits, total) in self.hits_by_change.items()
        ]
        others = ", ".join(
            f"{count} to a text made by `{change}`" for change, count in sorted(self.lost_to.items())
        )
        return (
            "| change | dropped, or its original is |\n|---|---|\n"
            + "".join(rows)
            + f"\nRecall over what the gold calls duplicates: {self.recall:.4f}. Texts lost: "
            f"{self.lost - self.lost_with_text_kept} of {self.groups:,} groups. In {self.lost} no document "
            f"of the group's own label stays ({others}); in {self.lost_with_text_kept} of these the one "
            f"that stays for it holds at least {CONTAINED:.0%} of its text's 5-grams. "
            f"In {self.twins} groups ({self.twins / self.groups:.2%}) the original is, character for "
            f"character, that of another group: "
            "they keep a text only where a copy is missed.\n"
        )


@dataclass(frozen=True)
class Mix:
    """The texts, what the gold says of each, and their 5-grams."""

    gold: list[dict[str, Any]]
    texts: list[str]
    shingles: list[np.ndarray]

    @classmethod
    def read(cls, folder: Path) -> Mix:
        """Of the folder that holds dedup_mix.jsonl.gz and dedup_mix.gold.jsonl.gz."""
        texts = [normalise(entry["text"]) for entry in _lines(folder / TEXTS)]
        return cls(_lines(folder / GOLD), texts, minhash.shingle_sets(texts))

    def judge(self, gone_for: dict[int, int]) -> Judgement:
        """Judge a deduplication: each text that goes, with the one that it goes for."""
        base = {
            entry["cluster"]: number for number, entry in enumerate(self.gold) if entry["change"] == "base"
        }
        gone_by_change: dict[str, list[bool]] = defaultdict(list)
        members: dict[int, list[int]] = defaultdict(list)
        for number, entry in enumerate(self.gold):
            members[entry["cluster"]].append(number)
            original = base[entry["cluster"]]
            if number != original:
                change = entry["change"]
                if change == LONG[0]:
                    change += (
                        f" (over {LONG[1]})"
                        if len(self.texts[original]) > LONG[1]
                        else f" ({LONG[1]} or less)"
                    )
                gone_by_change[change].append(number in gone_for or original in gone_for)
        lost = [cluster for cluster, group in members.items() if all(number in gone_for for number in group)]
        kept = {cluster: _end(base[cluster], gone_for) for cluster in lost}
        stays = np.unique(
            np.concatenate([each for number, each in enumerate(self.shingles) if number not in gone_for])
        )
        return Judgement(
            {change: (sum(each), len(each)) for change, each in sorted(gone_by_change.items())},
            len(members),
            len(lost),
            sum(self.contained_share(base[cluster], number) >= CONTAINED for cluster, number in kept.items()),
            Counter(self.gold[number]["change"] for number in kept.values()),
            len(base) - len({self.texts[number] for number in base.values()}),
            1 - len(stays) / len(np.unique(np.concatenate(self.shingles))),
        )

    def contained_share(self, number: int, other: int) -> float:
        """The share of a text's 5-grams that another holds."""
        return len(np.intersect1d(self.shingles[number], self.shingles[other])) / max(
            1, len(self.shingles[number])
        )


def judge(folder: Path, **settings: Any) -> Judgement:
    """Judge the deduplication with these `corpus` settings.

    Args:
        folder: holds dedup_mix.jsonl.gz and dedup_mix.gold.jsonl.gz.
    """
    mix = Mix.read(folder)
    fates, alike = _deduplicated(mix.texts, Corpus.model_validate(settings))
    gone = _gone(mix.texts, alike)
    assert set(gone) == set(np.flatnonzero(fates != verdicts.STAYS).tolist())
    return mix.judge(gone)


def choices(folder: Path) -> str:
    """Markdown: what other choices among the same pairs would give."""
    mix = Mix.read(folder)
    _, alike = _deduplicated(mix.texts, Corpus())
    rows = [("the longer text stays (as built)", mix.judge(_gone(mix.texts, alike)))]
    backwards = sorted(
        ((second, first) for first, second in alike), key=lambda pair: (len(mix.texts[pair[0]]), pair[0])
    )
    rows.append(("the shorter text stays", mix.judge(_gone(mix.texts, backwards))))
    for least in QUOTED:
        apart = [
            pair
            for pair in alike
            if max(mix.contained_share(*pair), mix.contained_share(*pair[::-1])) < CONTAINED
            or minhash.jaccard(mix.shingles[pair[0]], mix.shingles[pair[1]]) >= least
        ]
        rows.append(
            (
                f"both stay if one holds the other whole and their similarity is under {least}",
                mix.judge(_gone(mix.texts, apart)),
            )
        )
    return (
        "| choice | recall | labels lost | to be kept both, kept | 5-grams lost |\n|---|---|---|---|---|\n"
        + "".join(
            (
                f"| {name} | {judgement.recall:.4f} | {judgement.lost} "
                f"({judgement.lost / judgement.groups:.2%}) | {judgement.kept_apart} | "
                f"{judgement.forgotten:.2%} |\n"
            )
            for name, judgement in rows
        )
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _deduplicated(texts: list[str], settings: Corpus) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """(D,) the fates of the texts; and the pairs that were found alike, in order, the one that stays
    first.
    """
    blocks = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    with tempfile.TemporaryDirectory() as folder:
        context = cleaning.CleaningContext(settings, folder, 1 << 30)
        fates = np.concatenate(find(blocks, context))
        groups = block_store.Blocks(folder).partitions
        alike = sorted(pair for number in range(groups) for pair in verdicts.alike(number, groups, context))
    return fates, [(first, second) for _, first, second, _ in alike]


def _gone(texts: list[str], alike: list[tuple[int, int]]) -> dict[int, int]:
    """Each text that goes, with the one that it goes for: copies for the first one, then of each pair the
    second if the first stays.
    """
    first: dict[str, int] = {}
    gone = {
        number: other
        for number, text in enumerate(texts)
        if (other := first.setdefault(text, number)) != number
    }
    for one, other in alike:
        if one not in gone:
            gone.setdefault(other, one)
    return gone


def _end(number: int, gone_for: dict[int, int]) -> int:
    while number in gone_for:
        number = gone_for[number]
    return number


def decide(context: cleaning.CleaningContext) -> None:
    """All steps from the keys of cleaned blocks to what becomes of each document, in one process."""
    blocks = block_store.Blocks(context.folder)
    steps = (
        (near_duplicates.gather, blocks.batches),
        (near_duplicates.candidates, blocks.partitions),
        (near_duplicates.confirm, blocks.partitions),
    )
    for step, count in steps:
        for number in range(count):
            step(number, context)
    verdicts.decide(context)


def find(blocks: list[list[str]], context: cleaning.CleaningContext) -> list[np.ndarray]:
    """Deduplicate cleaned texts in one process, each block an element: the (D,) fates of each block's
    texts.
    """
    written = []
    for element, texts in enumerate(blocks):
        gathered = cleaning._Gathered(texts, [""] * len(texts), [""] * len(texts), [1] * len(texts))
        written.append((element, [cleaning._write(element, 0, gathered, context)]))
    block_store.write_blocks(context.folder, written, context.block_bytes)
    decide(context)
    fates = verdicts.verdicts(0, sum(map(len, blocks)), context)["fate"]
    return np.split(fates, np.cumsum([len(texts) for texts in blocks])[:-1])
