"""The labelled sample: 300 documents of the shared data, drawn with a fixed seed, a share from every kind.

The labels (`labels.tsv`: file, id, label, why) were given by reading the documents before any verdict
of the filters on them was seen; the criterion stands in docs/corpus.md. The texts are not stored here: they
come from the shared data.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20
LABELS = Path(__file__).with_name("labels.tsv")
# Documents drawn from each file: enough of each kind for a figure of its own, more where kinds of documents
# differ within the file.
DRAWN = {
    "articles_markdown": 34,
    "docs_markdown": 40,
    "docbook_xml": 24,
    "hant_classical_verse": 30,
    "hant_statutes": 24,
    "html_sites": 28,
    "mojibake": 24,
    "neardup_po_branches": 10,
    "neardup_sgml_versions": 14,
    "notebooks_ipynb": 18,
    "subtitles_ass": 12,
    "dialogue": 14,
    "wiki_paragraphs_hans": 18,
    "wiki_paragraphs_hant": 10,
}


class Label(NamedTuple):
    """A document's label: `keep` or `drop`, and the reason in a word or two."""

    file: str
    id: str
    label: str
    why: str

    @property
    def held_back(self) -> bool:
        """Whether it belongs to the half that no rule was tuned on."""
        return hashlib.sha256(self.id.encode()).digest()[0] % 2 == 1


def draw(corpus: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, row) of the documents to label, the same ones whenever the data are the same."""
    for file, count in DRAWN.items():
        chosen = random.Random(f"{SEED}/{file}").sample(rows(corpus, file), count)
        yield from ((file, row) for row in chosen)


def rows(corpus: Path, file: str) -> list[dict[str, Any]]:
    """All rows of a file of the shared corpus."""
    with gzip.open(corpus / f"{file}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def labels(path: Path = LABELS) -> list[Label]:
    """The labels as they were given."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [Label(**row) for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)]
