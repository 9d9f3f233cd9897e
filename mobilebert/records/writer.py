"""Write the records artefact from the corpus and the tokenizer."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from mobilebert import artifacts, tokenization
from mobilebert.errors import UserError
from mobilebert.records import pipeline, recordset, shuffling
from mobilebert.records.form import Form
from mobilebert.settings import Records

SPILLS = ".spills"
VERSIONS = ("rjieba", "sentencepiece", "xxhash")
RECORDS = "-1"  # key of the number of records among the counts of ids


def write(corpus: Path, tokenizer_folder: Path, out: Path, settings: Records, seed: int, threads: int) -> Counter[str]:
    """Tokens of the whole corpus as globally shuffled records, with a held-out share of the documents apart.

    Args:
        corpus: corpus artefact.
        tokenizer_folder: tokenizer artefact.
        out: where the artefact goes.
        settings: length, layout, held-out share, shards.
        seed: of the shuffle.
        threads: worker processes at most; the result does not depend on it.

    Returns:
        documents, sequences, tokens, bytes of either split, and what was dropped.

    Raises:
        UserError: the corpus gives no training or no held-out record.
    """
    artifacts.read(corpus, "corpus")
    artifacts.read(tokenizer_folder, "tokenizer")
    tokenizer = tokenization.load(tokenizer_folder)
    form = Form(settings.sequence_length, tokenizer.size)
    shaping = settings.model_dump(mode="json", by_alias=True, exclude={"from_"}) | {"seed": seed}
    inputs = {"corpus": corpus, "tokenizer": tokenizer_folder}
    with artifacts.writing(out, "records", settings=shaping, inputs=inputs, versions=VERSIONS) as writer:
        spills = writer.path(SPILLS, "-").parent
        job = pipeline.Job(str(tokenizer_folder), str(out), str(spills), form, settings, seed)
        pipeline.run(job, pipeline.blocks(corpus), threads)
        counts = shuffling.sum_counts(sorted(spills.glob("block-*.json")))
        _check(counts, corpus, settings)
        body = _describe(job, tokenizer, spills) | {"tokenizer": artifacts.digest(tokenizer_folder)}
        writer.path(recordset.DESCRIPTION).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        writer.counts = dict(counts)
        shutil.rmtree(spills)
    logging.info("records: %s", ", ".join(f"{name} {value}" for name, value in sorted(counts.items())))
    return counts


def _check(counts: Counter[str], corpus: Path, settings: Records) -> None:
    for split, share in (("train", 1 - settings.heldout_share), ("heldout", settings.heldout_share)):
        if not counts[f"{split}_sequences"]:
            documents = counts["train_documents"] + counts["heldout_documents"] + counts["short_documents"]
            raise UserError(
                f"{corpus}: too small: its {documents} documents gave no {split} record; give more text, "
                f"or change records.heldout_share ({share:.3g} of the documents should be {split})"
            )


def _describe(job: pipeline.Job, tokenizer: tokenization.Tokenizer, spills: Path) -> dict[str, Any]:
    """What records.json says, except the tokenizer artefact's digest."""
    names = {split: [recordset.shard_name(split, n, job.shards(split)) for n in range(job.shards(split))] for split in shuffling.SPLITS}
    heldout = shuffling.sum_counts([spills / f"{name}.json" for name in names["heldout"]])
    tokens = {id: count for id, count in heldout.items() if int(id) >= 0 and int(id) not in tokenizer.special_ids}
    counts = {split: [int(shuffling.sum_counts([spills / f"{name}.json"])[RECORDS]) for name in names[split]] for split in shuffling.SPLITS}
    return counts | {
        "sequence_length": job.form.sequence_length,
        "vocabulary_size": job.form.vocabulary_size,
        "id_bytes": job.form.dtype.itemsize,
        "unigram_accuracy": max(tokens.values(), default=0) / max(1, sum(tokens.values())),
        "vocabulary": tokenizer.digest,
        **dict(zip(recordset.SPECIAL, tokenizer.special_ids, strict=True)),
    }
