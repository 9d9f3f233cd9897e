"""The peers of `make bench-data`, each a command in their own environment: python peers.py NAME SLICE
VOCABULARY FOLDER [NUMBER].

Prints one line of JSON: `cpu` seconds of this process and its children, without imports and loading (a gift
to the peer), and what else the comparison needs. Runs under the peers' Python and imports nothing of ours but
the plain reference beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def texts(path: Path) -> list[str]:
    """The texts of a JSONL file."""
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]


def seconds() -> float:
    """User and system seconds of this process and of its children."""
    return time.process_time() + sum(os.times()[2:4])


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call, and what it gave."""
    start = seconds()
    result = function()
    return seconds() - start, result


def classic(slice_: Path, vocabulary: Path, folder: Path, dupe: int) -> dict[str, Any]:
    """BERT's preparation with jieba, each document masked `dupe` times."""
    import jieba
    import tensorflow as tf
    from classic import prepare

    jieba.setLogLevel(60)
    jieba.initialize()
    out = folder / f"classic-{dupe}.tfrecord"
    cpu, examples = timed(lambda: prepare(texts(slice_), vocabulary, out, dupe, jieba.lcut, tf))
    return {"cpu": cpu, "examples": examples, "bytes": out.stat().st_size}


def tokenizers(slice_: Path, vocabulary: Path, folder: Path, by_lines: int) -> dict[str, Any]:
    """Hugging Face's BERT tokenizer, all texts in one batch, by lines or by documents."""
    from tokenizers import BertWordPieceTokenizer

    made = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
    inputs = [line for text in texts(slice_) for line in text.split("\n")] if by_lines else texts(slice_)
    made.encode_batch(inputs[:10])
    cpu, encodings = timed(lambda: made.encode_batch(inputs))
    return {"cpu": cpu, "tokens": sum(len(one.ids) for one in encodings)}


def tensorflow_text(slice_: Path, vocabulary: Path, folder: Path, batch: int) -> dict[str, Any]:
    """FastBertTokenizer in tf.data, `batch` documents at a time."""
    import tensorflow as tf
    import tensorflow_text

    tokens = vocabulary.read_bytes().decode().removesuffix("\n").split("\n")
    made = tensorflow_text.FastBertTokenizer(
        tokens, lower_case_nfd_strip_accents=True, token_out_type=tf.int32
    )
    dataset = tf.data.Dataset.from_tensor_slices(texts(slice_)).batch(batch).map(made.tokenize)
    for _ in dataset.take(1):
        pass
    cpu, count = timed(lambda: sum(int(one.flat_values.shape[0]) for one in dataset))
    return {"cpu": cpu, "tokens": count}


def datasketch(slice_: Path, vocabulary: Path, folder: Path, permutations: int) -> dict[str, Any]:
    """MinHash of character 5-grams."""
    from datasketch import MinHash

    def work() -> int:
        count = 0
        for text in texts(slice_):
            made = MinHash(num_perm=permutations)
            made.update_batch([shingle.encode() for shingle in shingles(text)])
            count += len(made.hashvalues)
        return count

    cpu, count = timed(work)
    return {"cpu": cpu, "values": count}


def rensa(slice_: Path, vocabulary: Path, folder: Path, permutations: int) -> dict[str, Any]:
    """R-MinHash of character 5-grams, in Rust."""
    from rensa import RMinHash

    def work() -> int:
        count = 0
        for text in texts(slice_):
            made = RMinHash(num_perm=permutations, seed=42)
            made.update(list(shingles(text)))
            count += len(made.digest())
        return count

    cpu, count = timed(work)
    return {"cpu": cpu, "values": count}


def shingles(text: str) -> Iterator[str]:
    """The character 5-grams of letters, digits and Han, as ours are."""
    plain = "".join(filter(str.isalnum, text.lower()))
    return (plain[at : at + 5] for at in range(len(plain) - 4))


def datatrove(slice_: Path, vocabulary: Path, folder: Path, _: int) -> dict[str, Any]:
    """FineWeb-2's way for cmn_Hani: MinHash 14 x 8 of word 5-grams in four stages, then its quality filters,
    ftfy and PII.

    Thresholds: FineWeb-2 configs/cmn_Hani.yml; language identification is left out, since its model is a
        download.
    """
    import jieba
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.typeshelper import Languages
    from loguru import logger

    logger.remove()
    language = Languages.mandarin_chinese
    jieba.initialize()  # what spaCy cuts with
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    source = JsonlReader(str(slice_.parent), glob_pattern=slice_.name)
    folders = {name: str(folder / f"datatrove-{name}") for name in ("signatures", "buckets", "remove", "out")}
    filters = [
        GopherRepetitionFilter(
            language=language,
            dup_line_frac=0.287,
            top_n_grams=((2, 0.256), (3, 0.201), (4, 0.171)),
            dup_n_grams=((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.140), (10, 0.127)),
        ),
        FineWebQualityFilter(
            language=language, line_punct_thr=0.106, short_line_thr=999, char_duplicates_ratio=0.1,
            new_line_ratio=0.178,
        ),
        GopherQualityFilter(
            language=language, min_avg_word_length=1, max_avg_word_length=5, max_non_alpha_words_ratio=0.735,
            min_stop_words=2, stop_words=list("的年在月是和日了於·為有被人中为他與後也而由"),
        ),
        FTFYFormatter(),
        PIIFormatter(),
    ]  # fmt: skip
    stages: list[tuple[list[Any], int]] = [
        ([source, MinhashDedupSignature(folders["signatures"], config=config, language=language)], 1),
        ([MinhashDedupBuckets(folders["signatures"], folders["buckets"], config=config)], config.num_buckets),
        ([MinhashDedupCluster(folders["buckets"], folders["remove"], config=config)], 1),
        ([source, MinhashDedupFilter(folders["remove"]), *filters, JsonlWriter(folders["out"])], 1),
    ]

    def work() -> None:
        for number, (stage, tasks) in enumerate(stages):
            logs = str(folder / f"datatrove-logs-{number}")
            LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=logs, skip_completed=False).run()

    cpu, _ = timed(work)
    return {"cpu": cpu}


PEERS = {made.__name__: made for made in (classic, tokenizers, tensorflow_text, datasketch, rensa, datatrove)}

if __name__ == "__main__":
    peer, slice_name, vocabulary_name, folder_name, number = sys.argv[1:6]
    print(json.dumps(PEERS[peer](Path(slice_name), Path(vocabulary_name), Path(folder_name), int(number))))
