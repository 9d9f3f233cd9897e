"""Write the records artifact from the corpus and the tokenizer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mobilebert import tokenization
from mobilebert.dataflow import running, workdir
from mobilebert.errors import UserError
from mobilebert.records import dataset, gzip_blocks, pipeline, shuffling
from mobilebert.records.heldout import log_share
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Beam, Records
from mobilebert.storage import artifacts, paths
from mobilebert.text.dictionary import read_dictionary

VERSIONS = ("isal", "rjieba", "sentencepiece", "xxhash")
DIRECT = Beam()
RECORDS = "-1"  # key of the number of records among the counts of ids


def write(
    corpus: Path,
    tokenizer_folder: Path,
    out: Path,
    settings: Records,
    seed: int,
    threads: int,
    where: Beam = DIRECT,
    dictionary: Path | None = None,
) -> Counter[str]:
    """Tokens of the whole corpus as globally shuffled records, with a texts-out share of the documents apart.

    Args:
        corpus: corpus artifact.
        tokenizer_folder: tokenizer artifact.
        out: where the artifact goes.
        settings: length, layout, texts-out share, shards.
        seed: of the shuffle.
        threads: worker processes at most, if the work is done here; the result does not depend on it.
        where: which runner, and where the work folder lies.
        dictionary: words that the segmenter should know (`read_dictionary`).

    Returns:
        documents, sequences, tokens, bytes of either split, and what was dropped.

    Raises:
        UserError: the corpus gives no training or no texts-out record.
    """
    cleaning = artifacts.read(corpus, "corpus").settings.get("corpus", {})
    files = tuple(artifacts.read(tokenizer_folder, "tokenizer").files)
    tokenizer = tokenization.load(tokenizer_folder)
    record_format = RecordFormat(settings.sequence_length, tokenizer.size)
    simplified = cleaning.get("script") == "simplify"
    known = read_dictionary(dictionary, tokenizer.lowercase, simplified) if dictionary else ""
    shaping = {
        "records": settings.shaping(),
        "seed": seed,
        "files": [artifacts.sha256(dictionary)] if dictionary else [],
    }
    inputs = {"corpus": corpus, "tokenizer": tokenizer_folder}
    row_groups = pipeline.blocks(corpus)
    workers = running.count_workers(threads, sum(row_group.size for row_group in row_groups))
    mark = workdir.fingerprint(shaping, inputs, VERSIONS)
    with workdir.folder(out, where, mark) as folder:
        there = str(tokenizer_folder)
        if not paths.is_local(folder):  # workers elsewhere see only what lies there
            there = paths.send_folder(tokenizer_folder, paths.join(folder, "tokenizer"))
            row_groups = pipeline.sent(row_groups, paths.join(folder, "corpus"))
        job = pipeline.Job(there, files, tokenizer.special_ids, known, folder, record_format, settings, seed)
        running.run("write-records", pipeline.stages(job, row_groups), folder, where, workers)
        shards = {
            split: [shuffling.sum_counts([f"{path}.json"]) for path in job.shard_paths(split)]
            for split in shuffling.SPLITS
        }
        counts = _counts(
            shuffling.sum_counts([job.block(row_group.number) for row_group in row_groups]),
            shards,
            tokenizer.special_ids,
        )
        _check(counts, corpus, settings)
        with artifacts.writing(out, "records", settings=shaping, inputs=inputs, versions=VERSIONS) as writer:
            body = _describe(job, tokenizer, shards) | {"tokenizer": artifacts.digest(inputs["tokenizer"])}
            for split in shuffling.SPLITS:
                for path in job.shard_paths(split):
                    for one in gzip_blocks.files(path, settings.compression):
                        paths.take(one, writer.path(PurePosixPath(one).name))
            writer.json(dataset.DESCRIPTION, body)
            writer.counts = dict(counts)
    log_share(counts, settings.heldout_share)
    logging.info("records: %s", ", ".join(f"{name} {value}" for name, value in sorted(writer.counts.items())))
    return Counter(writer.counts)


def _check(counts: Counter[str], corpus: Path, settings: Records) -> None:
    for split, share in (("train", 1 - settings.heldout_share), ("heldout", settings.heldout_share)):
        if not counts[f"{split}_sequences"]:
            documents = counts["train_documents"] + counts["heldout_documents"] + counts["short_documents"]
            raise UserError(
                f"{corpus}: too small: its {documents} documents gave no {split} record; give more text, "
                f"or change records.heldout_share ({share:.3g} of the documents should be {split})"
            )


def _counts(
    read: Counter[str], written: Mapping[str, list[Counter[str]]], special: Sequence[int]
) -> Counter[str]:
    """What a manifest tells: of the documents what packing saw, of records and tokens what the files hold."""
    counts = Counter({name: value for name, value in read.items() if not name.endswith("_spills")})
    framing = {str(id) for id in special} - {str(special[1])}  # [UNK] stands for text
    for split, shards in written.items():
        packed = counts[f"{split}_tokens"]
        counts[f"{split}_sequences"] = sum(shard[RECORDS] for shard in shards)
        counts[f"{split}_tokens"] = sum(
            count for shard in shards for id, count in shard.items() if id != RECORDS and id not in framing
        )
        counts["dropped_tokens"] += packed - counts[f"{split}_tokens"]
    return counts


def _describe(
    job: pipeline.Job, tokenizer: tokenization.Tokenizer, written: Mapping[str, list[Counter[str]]]
) -> dict[str, Any]:
    """What records.json says, except the tokenizer artifact's digest."""
    heldout = sum(written["heldout"], Counter())
    tokens = {
        id: count for id, count in heldout.items() if int(id) >= 0 and int(id) not in tokenizer.special_ids
    }
    return {split: [shard[RECORDS] for shard in shards] for split, shards in written.items()} | {
        "sequence_length": job.record_format.sequence_length,
        "vocabulary_size": job.record_format.vocabulary_size,
        "id_bytes": job.record_format.dtype.itemsize,
        "layout": job.settings.layout,
        "next_sentence": job.settings.next_sentence,
        "compression": job.settings.compression,
        "unigram_accuracy": max(tokens.values(), default=0) / max(1, sum(tokens.values())),
        "vocabulary": tokenizer.digest,
        **dict(zip(dataset.SPECIAL, tokenizer.special_ids, strict=True)),
    }
