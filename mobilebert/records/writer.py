"""Write the records artefact from the corpus and the tokenizer."""

from __future__ import annotations

import json
import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from mobilebert import artifacts, tokenization
from mobilebert.errors import UserError
from mobilebert.pipelines import places, running, work
from mobilebert.records import pipeline, recordset, shuffling
from mobilebert.records.form import Form
from mobilebert.settings import Beam, Records

VERSIONS = ("rjieba", "sentencepiece", "xxhash")
DIRECT = Beam()
RECORDS = "-1"  # key of the number of records among the counts of ids


def write(
    corpus: Path, tokenizer_folder: Path, out: Path, settings: Records, seed: int, threads: int, where: Beam = DIRECT
) -> Counter[str]:
    """Tokens of the whole corpus as globally shuffled records, with a held-out share of the documents apart.

    Args:
        corpus: corpus artefact.
        tokenizer_folder: tokenizer artefact.
        out: where the artefact goes.
        settings: length, layout, held-out share, shards.
        seed: of the shuffle.
        threads: worker processes at most, if the work is done here; the result does not depend on it.
        where: which runner, and where the work folder lies.

    Returns:
        documents, sequences, tokens, bytes of either split, and what was dropped.

    Raises:
        UserError: the corpus gives no training or no held-out record.
    """
    artifacts.read(corpus, "corpus")
    files = tuple(artifacts.read(tokenizer_folder, "tokenizer").files)
    tokenizer = tokenization.load(tokenizer_folder)
    form = Form(settings.sequence_length, tokenizer.size)
    shaping = settings.model_dump(mode="json", by_alias=True, exclude={"from_"}) | {"seed": seed}
    inputs = {"corpus": corpus, "tokenizer": tokenizer_folder}
    blocks = pipeline.blocks(corpus)
    workers = running.workers(threads, sum(block.size for block in blocks))
    with work.folder(out, where, work.fingerprint(shaping, inputs, VERSIONS)) as folder:
        there = str(tokenizer_folder)
        if not places.is_local(folder):  # workers elsewhere see only what lies there
            there = places.send_folder(tokenizer_folder, places.join(folder, "tokenizer"))
            blocks = pipeline.sent(blocks, places.join(folder, "corpus"))
        job = pipeline.Job(there, files, folder, form, settings, seed)
        running.run("write-records", partial(pipeline.build, job=job, corpus=blocks), where, workers)
        counts = shuffling.sum_counts([job.block(block.number) for block in blocks])
        _check(counts, corpus, settings)
        with artifacts.writing(out, "records", settings=shaping, inputs=inputs, versions=VERSIONS) as writer:
            body = _describe(job, tokenizer) | {"tokenizer": artifacts.digest(inputs["tokenizer"])}
            for split in shuffling.SPLITS:
                for number in range(job.shards(split)):
                    place = job.shard(split, number)
                    places.take(place, writer.path(recordset.shard_name(split, number, job.shards(split))))
            writer.path(recordset.DESCRIPTION).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            writer.counts = {name: value for name, value in counts.items() if not name.endswith("_spills")}
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


def _describe(job: pipeline.Job, tokenizer: tokenization.Tokenizer) -> dict[str, Any]:
    """What records.json says, except the tokenizer artefact's digest."""
    counts = {
        split: [shuffling.sum_counts([f"{job.shard(split, number)}.json"]) for number in range(job.shards(split))]
        for split in shuffling.SPLITS
    }
    heldout = sum(counts["heldout"], Counter())
    tokens = {id: count for id, count in heldout.items() if int(id) >= 0 and int(id) not in tokenizer.special_ids}
    return {split: [found[RECORDS] for found in shards] for split, shards in counts.items()} | {
        "sequence_length": job.form.sequence_length,
        "vocabulary_size": job.form.vocabulary_size,
        "id_bytes": job.form.dtype.itemsize,
        "unigram_accuracy": max(tokens.values(), default=0) / max(1, sum(tokens.values())),
        "vocabulary": tokenizer.digest,
        **dict(zip(recordset.SPECIAL, tokenizer.special_ids, strict=True)),
    }
