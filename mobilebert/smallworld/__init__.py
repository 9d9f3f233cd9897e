"""A generated Chinese world: documents, dirt with known answers, and task sets, all from one seed.

Cities, rivers, people, dynasties, products and other things have facts that agree with each other
(`entities`), the phrase files say how each fact is told and asked (`phrases/*.txt`, `grammar`, `facts`),
`documents` writes them up in nine styles, `dirt` spoils a share, `reviews` and `reading` make the task sets.
Everything is a function of (seed, number): documents are written some at a time, memory does not grow with
the size, and the same seed gives the same bytes, however many processes write.

Further task sets follow from the same parts:
- DRCD: `reading.cmrc` after OpenCC's s2t; the layout is the same (two answers a question in dev).
- XNLI: a clause of a fact (`Facts.clause`) as premise; the same fact in another wording is entailed, the same
  sentence with the value of another entity contradicts it, and another fact of the same entity is neutral.
- LCQMC: two wordings of one question (`Facts.question`) match; the same wording about another entity, or
  another fact of the same entity, does not.
- BQ: as LCQMC, with a phrase file of a bank's questions in place of the kinds' own.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from typing import NamedTuple

from mobilebert import settings as all_settings
from mobilebert.smallworld import grammar as phrases
from mobilebert.smallworld import names, reading
from mobilebert.smallworld.dirt import COPIES, Dirt
from mobilebert.smallworld.documents import Documents
from mobilebert.smallworld.entities import World
from mobilebert.smallworld.reviews import review_rows, to_tsv
from mobilebert.storage.artifacts import Writer

PART_BYTES = 4_000_000  # about as much as one part file holds
CLEAN = "clean"
BLOCK_DOCUMENTS = 256  # made by a process at once, about 0.25 MB
MEGABYTES_WORTH_PROCESSES = 10  # 3 s of one core; a process starts in half a second
TRIES = 64  # looks for an original before a copy becomes a clean document


class Document(NamedTuple):
    """A document and what it really is; `of` is the id of a copy's original."""

    id: str
    text: str
    kind: str
    of: str | None


class Generator:
    """The documents of a small world, by number."""

    def __init__(self, settings: all_settings.SmallWorld, seed: int) -> None:
        grammar = phrases.load()
        self.seed = seed
        self.settings = settings
        self.share = settings.dirt
        self.documents = Documents(World(seed, settings.megabytes, grammar), grammar)
        self.dirt = Dirt(grammar)

    def kind(self, number: int) -> str:
        """What document `number` is to be: `clean` or a kind of dirt."""
        rng = random.Random(names.key(self.seed, "kind", number))
        return self.dirt.kind(rng) if rng.random() < self.share else CLEAN

    def document(self, number: int) -> Document:
        """Document `number`, whose original, if it is a copy, is a clean one with a smaller number."""
        kind = self.kind(number)
        if kind == CLEAN:
            return Document(identifier(number), self.documents.text(number), CLEAN, None)
        rng = random.Random(names.key(self.seed, "dirt", number))
        original = self._original(rng, number) if kind in COPIES else None
        if kind in COPIES and original is None:
            return Document(identifier(number), self.documents.text(number), CLEAN, None)
        text = self.dirt.text(rng, kind, self.documents.text(number if original is None else original))
        return Document(identifier(number), text, kind, None if original is None else identifier(original))

    def _original(self, rng: random.Random, number: int) -> int | None:
        for _ in range(TRIES if number else 0):
            chosen = int(rng.random() * number)
            if self.kind(chosen) == CLEAN:
                return chosen
        return None


def identifier(number: int) -> str:
    """A document's id."""
    return f"world-{number:08d}"


def stream(generator: Generator, clean_bytes: int, threads: int = 1) -> Iterator[Document]:
    """Documents, until the clean ones hold `clean_bytes` UTF-8 bytes of text; `threads` processes make
    them.
    """
    written = 0
    for document in (
        map(generator.document, itertools.count()) if threads == 1 else _made_by_processes(generator, threads)
    ):
        if document.kind == CLEAN:
            written += len(document.text.encode())
        yield document
        if written >= clean_bytes:
            return


def _made_by_processes(generator: Generator, threads: int) -> Iterator[Document]:
    """All documents in order, without end; a few blocks are made ahead."""
    arguments = (generator.settings.model_dump_json(), generator.seed)
    with ProcessPoolExecutor(threads, multiprocessing.get_context("spawn")) as pool:
        numbers = itertools.count()
        ahead = deque(pool.submit(_block, *arguments, next(numbers)) for _ in range(threads + 2))
        try:
            while True:
                ahead.append(pool.submit(_block, *arguments, next(numbers)))
                yield from ahead.popleft().result()
        finally:
            # What is being made is waited for; multiprocessing's Pool was seen to wait for ever when it ended
            # amid its work.
            pool.shutdown(cancel_futures=True)


def _block(settings: str, seed: int, number: int) -> list[Document]:
    generator = _generator(settings, seed)
    return [generator.document(number * BLOCK_DOCUMENTS + offset) for offset in range(BLOCK_DOCUMENTS)]


@lru_cache(1)
def _generator(settings: str, seed: int) -> Generator:
    return Generator(all_settings.SmallWorld.model_validate_json(settings), seed)


def generate(writer: Writer, settings: all_settings.SmallWorld, seed: int, threads: int = 1) -> None:
    """Write the world: `documents/part-NNNNN.jsonl`, `gold.jsonl`, `tasks/*`; counts go to the manifest.

    Args:
        writer: of an artifact of kind "small_world".
        settings: sizes and the share of dirt.
        seed: the stage's own seed.
        threads: processes at most; the bytes do not depend on it.
    """
    generator = Generator(settings, seed)
    _write_documents(writer, generator, threads if settings.megabytes >= MEGABYTES_WORTH_PROCESSES else 1)
    _write_tasks(writer, generator, settings, seed)


def _write_documents(writer: Writer, generator: Generator, threads: int) -> None:
    clean_bytes = int(generator.settings.megabytes * 1_000_000)
    kinds: Counter[str] = Counter()
    file_number, size, total = -1, PART_BYTES, 0
    stream_out = None
    with writer.path("gold.jsonl").open("wb") as gold:
        for document in stream(generator, clean_bytes, threads):
            if size >= PART_BYTES or stream_out is None:
                if stream_out is not None:
                    stream_out.close()
                file_number, size = file_number + 1, 0
                stream_out = writer.path("documents", f"part-{file_number:05d}.jsonl").open("wb")
            size += stream_out.write(_line({"id": document.id, "text": document.text}))
            gold.write(
                _line(
                    {"id": document.id, "kind": document.kind} | ({"of": document.of} if document.of else {})
                )
            )
            kinds[document.kind] += 1
            total += len(document.text.encode())
    if stream_out is not None:
        stream_out.close()
    writer.counts |= {
        "documents": kinds.total(),
        "bytes": total,
        "parts": file_number + 1,
        "kinds": dict(sorted(kinds.items())),
    }


def _write_tasks(writer: Writer, generator: Generator, settings: all_settings.SmallWorld, seed: int) -> None:
    reviews: set[str] = set()
    seen: set[str] = set()  # what train has, dev has not
    counts = {
        "train": (settings.reviews, settings.questions),
        "dev": (max(1, settings.reviews // 5), max(1, settings.questions // 5)),
    }
    for split, (rows, questions) in counts.items():
        tsv = to_tsv(review_rows(generator.documents.reviews, seed, split, rows, reviews))
        writer.path("tasks", "chnsenticorp", f"{split}.tsv").write_text(tsv, encoding="utf-8", newline="\n")
        body = reading.cmrc(generator.documents, seed, split, questions, seen)
        writer.path("tasks", "cmrc2018", f"{split}.json").write_bytes(_line(body))
        writer.counts[split] = {"reviews": rows, "questions": questions, "contexts": len(body["data"])}


def _line(body: object) -> bytes:
    return (json.dumps(body, ensure_ascii=False) + "\n").encode()
