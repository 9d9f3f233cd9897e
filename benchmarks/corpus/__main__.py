"""`make corpus-quality`: the real pipeline over the shared data, judged by its answers; writes
benchmarks/results/corpus.md.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import charset_normalizer
import pyarrow.parquet as pq

from benchmarks.corpus import deduplication, shared_paragraphs
from benchmarks.corpus import sample as corpus_sample
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.settings import Corpus, Source
from mobilebert.text import document, filters, lines, sensitive
from mobilebert.text.decode import decode
from mobilebert.text.normalise import normalise, normalise_all

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
RESULTS = Path(__file__).parents[1] / "results" / "corpus.md"
FORMATS = {"articles_markdown": "markdown", "docs_markdown": "markdown", "html_sites": "html"}
CLEAN = ("wiki_paragraphs_hans", "wiki_paragraphs_hant", "dialogue", "hant_classical_verse")
_DUPLICATES = {"exact_duplicate", "near_duplicate"}
Verdicts = dict[str, str | None]


def main() -> None:
    """Measure and write."""
    logging.basicConfig(level=logging.WARNING)
    sections = [
        (
            "# How well the corpus is cleaned\n\nWritten by `make corpus-quality`; docs/corpus.md says what "
            "each table means.\n"
        ),
        *(
            section(SHARED)
            for section in (sample, encodings, mojibake, wiki, dedup, paragraphs, contamination, costs)
        ),
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(sections), encoding="utf-8")


def verdicts(files: Iterable[tuple[str, Path, str]], **settings: Any) -> Verdicts:
    """What the pipeline makes of sources (name, path, text format of a JSONL file): the reason by id, None
    for a document that is kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        named = [
            Source.model_validate({"name": name, "from": str(path), "text_format": text_format})
            for name, path, text_format in files
        ]
        list_sources(named, base / "sources", None, [])
        chosen = Corpus.model_validate({"near_duplicates": False, "rejects_per_reason": "all"} | settings)
        clean_corpus(base / "sources", base / "corpus", chosen, 1)
        rejected: Verdicts = {row["id"]: row["reason"] for row in _rows(base / "corpus" / "rejects")}
        return rejected | dict.fromkeys((row["id"] for row in _rows(base / "corpus")), None)


def sample(shared: Path) -> str:
    """Precision and recall of what is dropped, on the labelled sample."""
    labels = {(label.file, label.id): label for label in corpus_sample.labels()}
    with tempfile.TemporaryDirectory() as folder:
        texts: dict[str, list[dict[str, str]]] = defaultdict(list)
        for file, row in corpus_sample.draw(shared / "corpus"):
            texts[file].append({"id": f"{file}/{row['id']}", "text": row["text"]})
        sources = []
        for file, rows in texts.items():
            path = Path(folder, f"{file}.jsonl")
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            sources.append((file, path, FORMATS.get(file, "plain")))
        judged, looser = (
            [
                (label, None if (reason := reasons[f"{file}/{name}"]) in _DUPLICATES else reason)
                for (file, name), label in labels.items()
            ]
            for reasons in (verdicts(sources), verdicts(sources, min_han_share=0.2))
        )
    rows = [
        _scores(name, [each for each in judged if chosen(each[0])])
        for name, chosen in _groups(corpus_sample.DRAWN)
    ]
    rows.insert(1, _scores("all, at `min_han_share: 0.2`", looser))
    disagreements = Counter(
        (f"{label.file}, {label.why}: {label.label}", reason or "kept")
        for label, reason in judged
        if (label.label == "drop") != bool(reason)
    )
    mistakes = [[what, verdict, str(count)] for (what, verdict), count in sorted(disagreements.items())]
    head = ["documents", "", "to drop", "dropped", "precision", "recall", "clean ones lost"]
    return (
        f"## The labelled sample\n\n{_table(head, rows)}\nWhere verdict and label differ:\n\n"
        f"{_table(['file, why: label', 'verdict', 'documents'], mistakes)}"
    )


def _groups(files: Iterable[str]) -> list[tuple[str, Callable[[corpus_sample.Label], bool]]]:
    groups: list[tuple[str, Callable[[corpus_sample.Label], bool]]] = [
        ("all", lambda label: True),
        ("tuned half", lambda label: not label.held_back),
        ("held back half", lambda label: label.held_back),
    ]
    return groups + [
        (file, lambda label, file=file: label.file == file)  # type: ignore[misc]
        for file in files
    ]


def _scores(name: str, judged: Sequence[tuple[corpus_sample.Label, str | None]]) -> list[str]:
    right = sum(label.label == "drop" and reason is not None for label, reason in judged)
    bad, dropped = (
        sum(label.label == "drop" for label, _ in judged),
        sum(reason is not None for _, reason in judged),
    )
    good = len(judged) - bad
    lost = f"{dropped - right} of {good}" if good else "-"
    return [name, str(len(judged)), str(bad), str(dropped), _share(right, dropped), _share(right, bad), lost]


def encodings(shared: Path) -> str:
    """Files that are decoded right, wrong, or not at all, and the same beside charset-normalizer."""
    folder = shared / "corpus" / "encodings"
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    files = [((folder / entry["file"]).read_bytes(), entry["utf8_sha256"]) for entry in entries]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry, (data, digest) in zip(entries, files, strict=True):
        verdict = _decoding(decode(data).text, digest)
        counts["all"][verdict] += 1
        counts[entry["encoding"]][verdict] += 1
    verdicts = ["right", "wrong", "undecided"]
    rows = [[name, *(str(count[verdict]) for verdict in verdicts)] for name, count in counts.items()]
    return (
        f"## Encodings\n\n{_table(['true encoding', *verdicts], rows)}\nBeside charset-normalizer "
        f"{charset_normalizer.__version__}, on the "
        f"same files and on 100 characters of "
        f"each:\n\n{_detectors(files, [entry['encoding'] for entry in entries])}"
    )


def _detectors(files: Sequence[tuple[bytes, str]], names: Sequence[str]) -> str:
    """A table of detectors of encodings: what they make of whole files and of short pieces, and their CPU
    time.
    """
    short = []
    for (data, _), name in zip(files, names, strict=True):
        text = (decode(data).text or "")[200:300]
        short.append((text.encode(name), hashlib.sha256(text.encode()).hexdigest()))
    chinese = [
        "utf_8",
        "gb18030",
        "big5",
        "cp950",
        "big5hkscs",
        "utf_16",
        "utf_16_le",
        "utf_16_be",
        "utf_32",
        "utf_7",
        "hz",
    ]

    def normalizer(data: bytes, isolation: list[str] | None = None) -> str | None:
        best = charset_normalizer.from_bytes(data, cp_isolation=isolation).best()
        return None if best is None else str(best)

    rows = []
    for detector, function in (
        ("`text/decode`", lambda data: decode(data).text),
        ("charset-normalizer", normalizer),
        ("the same, told the Chinese encodings", lambda data: normalizer(data, chinese)),
    ):
        for kind, items in (("whole files", files), ("100 characters", short)):
            start = time.process_time()
            texts = [function(data) for data, _ in items]
            cost = (time.process_time() - start) * 1e9 / sum(len(data) for data, _ in items)
            count = Counter(_decoding(text, digest) for text, (_, digest) in zip(texts, items, strict=True))
            rows.append(
                [
                    detector,
                    kind,
                    *(str(count[verdict]) for verdict in ("right", "wrong", "undecided")),
                    f"{cost:.0f}",
                ]
            )
    return _table(["detector", "of", "right", "wrong", "undecided", "CPU ms/MB"], rows)


def _decoding(text: str | None, digest: str) -> str:
    if text is None:
        return "undecided"
    return "right" if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == digest else "wrong"


def mojibake(shared: Path) -> str:
    """Damaged texts that are found, and clean ones that are lost."""
    corpus = shared / "corpus"
    damage = {row["id"]: row["damage"] for row in _lines(corpus / "mojibake.gold.jsonl.gz")}
    reason_of = verdicts([("mojibake", corpus / "mojibake.jsonl.gz", "plain")])
    kinds = sorted(set(damage.values()))
    mine = {
        kind: [reason_of[name] is not None for name, each in damage.items() if each == kind] for kind in kinds
    }
    rows = [
        [kind, str(len(dropped)), str(sum(dropped)), _share(sum(dropped), len(dropped))]
        for kind, dropped in mine.items()
    ]
    damaged = [each for kind, dropped in mine.items() if kind != "clean" for each in dropped]
    rows.append(["all but clean", str(len(damaged)), str(sum(damaged)), _share(sum(damaged), len(damaged))])
    losses = []
    for name in CLEAN:
        verdict = verdicts([(name, corpus / f"{name}.jsonl.gz", "plain")])
        reasons = Counter(reason for reason in verdict.values() if reason and reason not in _DUPLICATES)
        encoding = reasons["uncommon_characters"] + reasons["broken_characters"]
        summary = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "-"
        losses.append(
            [
                name,
                str(len(verdict)),
                f"{encoding / len(verdict):.2%}",
                f"{sum(reasons.values()) / len(verdict):.2%}",
                summary,
            ]
        )
    head = ["clean text", "documents", "lost to the two rules for damage", "lost to any rule", "reasons"]
    return (
        f"## Mojibake\n\n{_table(['damage', 'documents', 'dropped', 'share'], rows)}\n{_table(head, losses)}"
    )


def wiki(shared: Path) -> str:
    """Pages of the dump that are read as articles or skipped as the answers say, by reader and rules
    together.
    """
    corpus = shared / "corpus"
    gold = {str(row["id"]): row["keep"] for row in _lines(corpus / "wiki_dump_sample.gold.jsonl.gz")}
    reason_of = verdicts([("wiki", corpus / "wiki_dump_sample.xml.bz2", "plain")])
    read = {name: reason_of.get(name, "not read") in _DUPLICATES | {None} for name in gold}
    right = sum(read[name] == keep for name, keep in gold.items())
    lost = Counter(reason for name, reason in reason_of.items() if gold.get(name) and reason)
    summary = ", ".join(f"{reason} {count}" for reason, count in lost.most_common()) or "none"
    share = f"{right} of {len(gold)} pages kept or skipped as they should ({right / len(gold):.4f})"
    return f"## Wiki pages\n\n{share}. Articles dropped: {summary}.\n"


def dedup(shared: Path) -> str:
    """Near-duplicates alone, without any filter; and what the filters drop of the same groups."""
    corpus = shared / "corpus"
    gold = {row["id"]: row["cluster"] for row in _lines(corpus / "dedup_mix.gold.jsonl.gz")}
    reason_of = verdicts([("mix", corpus / "dedup_mix.jsonl.gz", "plain")])
    groups: dict[int, list[str | None]] = defaultdict(list)
    for name, cluster in gold.items():
        groups[cluster].append(reason_of[name])
    filtered = [
        reasons
        for reasons in groups.values()
        if all(reason and reason not in _DUPLICATES for reason in reasons)
    ]
    first_reasons = Counter(reasons[0] for reasons in filtered)
    return (
        "## Near-duplicates\n\nThe deduplication alone, no rule before it:\n\n"
        f"{deduplication.judge(corpus).table()}\nOther choices among the same "
        f"pairs:\n\n{deduplication.choices(corpus)}\n"
        f"Rules alone: of {len(groups)} groups {len(filtered)} lost every text to a rule, "
        "which is a verdict on the text and no loss of the deduplication "
        f"({', '.join(f'{reason} {count}' for reason, count in first_reasons.most_common())}).\n"
    )


def paragraphs(shared: Path) -> str:
    """What a limit on the documents that share a paragraph would take."""
    introduction = "`corpus.max_paragraph_documents`, off by default, after deduplication:"
    return (
        f"## Paragraphs that many documents "
        f"share\n\n{introduction}\n\n{shared_paragraphs.table(shared / 'corpus', FORMATS)}"
    )


def contamination(shared: Path) -> str:
    """Test contexts that go, and what goes with them."""
    tests = shared / "tasks" / "cmrc2018" / "cmrc2018_dev.json"
    body = json.loads(tests.read_text(encoding="utf-8"))
    contexts = {
        normalise(paragraph["context"]) for article in body["data"] for paragraph in article["paragraphs"]
    }
    rows = []
    for name in (
        "wiki_paragraphs_hans",
        "wiki_paragraphs_hant",
        "articles_markdown",
        "hant_statutes",
        "dialogue",
    ):
        path = shared / "corpus" / f"{name}.jsonl.gz"
        texts = {row["id"]: normalise(row["text"]) for row in _lines(path)}
        reason_of = verdicts([(name, path, FORMATS.get(name, "plain"))], decontaminate=[str(tests)])
        gone = {one for one, reason in reason_of.items() if reason == "contaminated"}
        test_contexts = {one for one, text in texts.items() if text in contexts}
        clean = sum(len(texts[one]) for one in gone - test_contexts) / sum(map(len, texts.values()))
        rows.append(
            [
                name,
                str(len(texts)),
                str(len(test_contexts)),
                str(sum(reason_of[one] is not None for one in test_contexts)),
                str(len(gone - test_contexts)),
                f"{clean:.2%}",
            ]
        )
    head = [
        "file",
        "documents",
        "test contexts in it",
        "of them dropped",
        "others dropped",
        "share of its text",
    ]
    return (
        f"## Decontamination\n\nAgainst `{tests.name}` ({len(contexts)} contexts and their "
        f"questions).\n\n{_table(head, rows)}"
    )


def costs(shared: Path) -> str:
    """CPU time of each rule a megabyte of clean text."""
    texts = normalise_all(
        [row["text"] for name in CLEAN for row in _lines(shared / "corpus" / f"{name}.jsonl.gz")]
    )
    kept = [lines.clean(text, 3).text for text in texts]
    raw, batches = ([those[at : at + 150] for at in range(0, len(those), 150)] for those in (texts, kept))
    measured = [document.Documents(batch) for batch in batches]
    settings = Corpus()
    timed: list[tuple[str, Callable[[Any], object], Sequence[Any]]] = [
        ("normalise", normalise_all, raw),
        ("line rules", lambda text: lines.clean(text, 3), texts),
        ("mask_sensitive", sensitive.mask, kept),
        ("measures of all document rules", document.Documents, batches),
        *(
            (f"`{rule.__name__}`", lambda batch, rule=rule: rule(batch, settings), measured)
            for rule in filters.FILTERS
        ),  # type: ignore[misc]
    ]
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows = [[name, f"{_seconds(function, items) * 1000 / size:.2f}"] for name, function, items in timed]
    introduction = f"The best of three, on {size:.1f} MB of clean text in {len(texts):,} short documents."
    return f"## Cost\n\n{introduction}\n\n{_table(['step', 'CPU ms/MB'], rows)}"


def _seconds(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    taken = []
    for _ in range(3):
        start = time.process_time()
        for item in items:
            function(item)
        taken.append(time.process_time() - start)
    return min(taken)


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.3f}" if whole else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in out)


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


if __name__ == "__main__":
    main()
