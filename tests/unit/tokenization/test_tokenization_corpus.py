"""The shared corpus through both kinds of tokenizer and their judges: a slice of it, or with
MOBILEBERT_WHOLE_CORPUS=1 all of it.

`make test-tokenization` runs it on all (97.7 MB, 11 minutes of CPU).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import reference_bert
import sentencepiece

from mobilebert import tokenization
from mobilebert.settings import Vocabulary
from mobilebert.storage import artifacts
from mobilebert.tokenization import files, learning
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

WHOLE = os.environ.get("MOBILEBERT_WHOLE_CORPUS") == "1"
DOCUMENTS, CHARACTERS = 6, 3000  # of each file, where not all is read


def texts(shared_data: Path) -> Iterator[str]:
    for path in sorted((shared_data / "corpus").glob("*.jsonl.gz")):
        if ".gold." in path.name:
            continue
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for number, line in enumerate(stream):
                if WHOLE:
                    yield json.loads(line)["text"]
                elif number < DOCUMENTS:
                    yield json.loads(line)["text"][:CHARACTERS]


def test_every_id_of_the_corpus_is_googles(shared_data: Path) -> None:
    tokens = files.read_vocabulary(shared_data / "vocab" / "vocab.txt")
    ours, vocabulary = (
        WordPieceTokenizer(tokens, True),
        {token.strip(): id for id, token in enumerate(tokens)},
    )
    seen = 0
    for text in texts(shared_data):
        expected = [vocabulary[token] for token in reference_bert.tokenize(text, vocabulary, True)]
        assert ours.encode(text).ids.tolist() == expected, text[:80]
        seen += 1
    assert seen >= 15 * DOCUMENTS


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_learned_ids_are_those_of_sentencepiece_and_of_transformers(
    shared_data: Path, tmp_path: Path, model: str
) -> None:
    from transformers import AutoTokenizer

    with artifacts.writing(tmp_path, "tokenizer") as writer:
        sample = (text for number, text in enumerate(texts(shared_data)) if not WHOLE or number % 20 == 0)
        files.write(
            writer,
            "sentencepiece",
            learning.learn(sample, Vocabulary(model=model, size=8000 if WHOLE else 3000)),
            True,
        )
    ours, theirs = tokenization.load(tmp_path), AutoTokenizer.from_pretrained(str(tmp_path))
    itself = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    different = []
    for text in texts(shared_data):
        ids = ours.encode(text).ids.tolist()
        assert ids == itself.encode(text), text[:80]
        # One document of the corpus writes "[UNK]" in its prose, which transformers takes for the token
        # unless told that it is text.
        if [ours.cls, *ids, ours.sep] != theirs(text, split_special_tokens=True)["input_ids"]:
            different.append(text)
    assert not different, (len(different), different[0][:200])
