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

from mobilebert.corpus import clean, duplicates, minhash, store
from mobilebert.settings import Corpus
from mobilebert.text.normalise import normalise

TEXTS, GOLD = "dedup_mix.jsonl.gz", "dedup_mix.gold.jsonl.gz"
BLOCK = 500  # documents
# The gold calls this change a near-duplicate only in texts that are longer.
LONG = ("ten_chars", 250)
KEEP_BOTH = {"half_overlap", "quote_20"}
# A lost group's text is in the corpus if this share of its 5-grams stands in the document that was kept for it.
CONTAINED = 0.99


@dataclass(frozen=True)
class Judgement:
    """What was found of each change (found, of how many), and the groups that lost every copy."""

    found: dict[str, tuple[int, int]]
    groups: int
    lost: int
    lost_with_text_kept: int  # of the lost ones: the document kept for them holds their text
    lost_to: dict[str, int]  # by the change that made the kept document

    @property
    def recall(self) -> float:
        """Share found of what the gold calls duplicates."""
        counted = [pair for change, pair in self.found.items() if change not in KEEP_BOTH and not change.endswith("or less)")]
        return sum(found for found, _ in counted) / sum(total for _, total in counted)

    def table(self) -> str:
        """Markdown: a row for each kind of change, then the sums."""
        rows = [f"| {change} | {found} of {total} |\n" for change, (found, total) in self.found.items()]
        others = ", ".join(f"{count} to a text made by `{change}`" for change, count in sorted(self.lost_to.items()))
        return (
            "| change | dropped, or its original is |\n|---|---|\n"
            + "".join(rows)
            + f"\nRecall over what the gold calls duplicates: {self.recall:.4f}. Of {self.groups:,} groups {self.lost} lost every text of "
            f"their own label ({others}); in {self.lost_with_text_kept} of them the text itself stands in the document that was kept "
            f"(at least {CONTAINED:.0%} of its 5-grams), so {self.lost - self.lost_with_text_kept} lost their text.\n"
        )


def judge(folder: Path, **settings: Any) -> Judgement:
    """Judge the deduplication with these `corpus` settings.

    Args:
        folder: holds dedup_mix.jsonl.gz and dedup_mix.gold.jsonl.gz.
    """
    gold, texts = _lines(folder / GOLD), [normalise(entry["text"]) for entry in _lines(folder / TEXTS)]
    dropped, edges = _deduplicated(texts, Corpus.model_validate(settings))
    base = {entry["cluster"]: number for number, entry in enumerate(gold) if entry["change"] == "base"}
    found: dict[str, list[bool]] = defaultdict(list)
    members: dict[int, list[int]] = defaultdict(list)
    for number, entry in enumerate(gold):
        members[entry["cluster"]].append(number)
        original = base[entry["cluster"]]
        if number != original:
            change = entry["change"]
            if change == LONG[0]:
                change += f" (over {LONG[1]})" if len(texts[original]) > LONG[1] else f" ({LONG[1]} or less)"
            found[change].append(number in dropped or original in dropped)
    lost = [cluster for cluster, group in members.items() if all(number in dropped for number in group)]
    kept = {cluster: _kept(base[cluster], edges, dropped) for cluster in lost}
    contained = [_contained(texts[base[cluster]], texts[number]) for cluster, number in kept.items()]
    return Judgement(
        {change: (sum(each), len(each)) for change, each in sorted(found.items())},
        len(members),
        len(lost),
        sum(share >= CONTAINED for share in contained),
        Counter(gold[number]["change"] for number in kept.values()),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _deduplicated(texts: list[str], settings: Corpus) -> tuple[set[int], dict[int, set[int]]]:
    """The numbers of the texts that go, and for each text those that it was found to be alike."""
    blocks = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    alike: dict[int, set[int]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as folder:
        work = clean.Work(settings, folder, 4, 1 << 30)
        fates = np.concatenate(find(blocks, work))
        for number in range(work.partitions):
            for _, first, second in duplicates.alike(number, work):
                alike[first].add(second)
                alike[second].add(first)
    for copies in _equal(texts):
        for other in copies[1:]:
            alike[copies[0]].add(other)
            alike[other].add(copies[0])
    return set(np.flatnonzero(fates != duplicates.STAYS).tolist()), alike


def find(blocks: list[list[str]], work: clean.Work) -> list[np.ndarray]:
    """Deduplicate cleaned texts in one process, each block an element: the (D,) fates of each block's texts."""
    written = []
    for element, texts in enumerate(blocks):
        gathered = clean._Gathered(texts, [""] * len(texts), [""] * len(texts), [1] * len(texts))
        written.append((element, [clean._write(element, 0, gathered, work)]))
    store.write_blocks(work.folder, written)
    for step in (duplicates.candidates, duplicates.confirm):
        for number in range(work.partitions):
            step(number, work)
    duplicates.decide(work)
    return [duplicates.fates(element, element + 1, work) for element in range(len(blocks))]


def _equal(texts: list[str]) -> list[list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        places[text].append(number)
    return list(places.values())


def _kept(number: int, alike: dict[int, set[int]], dropped: set[int]) -> int:
    """The text of a group that stays."""
    seen, todo = {number}, [number]
    while todo:
        for other in alike[todo.pop()] - seen:
            if other not in dropped:
                return other
            seen.add(other)
            todo.append(other)
    raise ValueError(f"no text stays of the group of text {number}")


def _contained(text: str, other: str) -> float:
    first, second = minhash.shingle_set(text), minhash.shingle_set(other)
    return len(np.intersect1d(first, second)) / max(1, len(first))
