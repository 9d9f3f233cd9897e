"""The peer of `make bench-data` that most people use: BERT's own preparation in plain Python, with jieba for
whole word masking.

Our own writing of the published algorithm (google-research/bert tokenization.py and
create_pretraining_data.py, with the word marks of the Chinese-BERT-wwm and roberta_zh preparations):
sentences, WordPiece, words by jieba, pairs with a random next one, masks drawn `dupe` times, seven features
an example. It runs in the peers' environment and imports nothing of ours.
"""

from __future__ import annotations

import collections
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MAX_LENGTH = 128
MAX_PREDICTIONS = 20
SHARE = 0.15
SHORT = 0.1  # share of examples with a random shorter length
_SENTENCE = re.compile(r"[^。！？；\n]+[。！？；]*")
Document = list[list[str]]  # sentences of pieces; "##" marks what goes on a word


def prepare(texts: Iterable[str], vocabulary_file: Path, out: Path, dupe: int, cut: Any, tf: Any) -> int:
    """Write the TFRecord file of the texts.

    Args:
        texts: documents.
        vocabulary_file: vocab.txt.
        out: file to write.
        dupe: how many times each document is masked.
        cut: jieba.lcut.
        tf: the tensorflow module.

    Returns:
        the number of examples.
    """
    tokens = vocabulary_file.read_bytes().decode().removesuffix("\n").split("\n")
    vocabulary = {token.strip(): number for number, token in enumerate(tokens)}
    documents = [[segment(sentence, cut) for sentence in sentences(text, vocabulary)] for text in texts]
    documents = [document for document in documents if document]
    rng = random.Random(12345)
    words = list(vocabulary)
    examples = []
    for _ in range(dupe):
        for number, document in enumerate(documents):
            examples += list(pairs(documents, document, number, rng, words))
    rng.shuffle(examples)
    with tf.io.TFRecordWriter(str(out)) as writer:
        for example in examples:
            writer.write(serialised(example, vocabulary, tf))
    return len(examples)


def sentences(text: str, vocabulary: dict[str, int]) -> Iterator[list[str]]:
    """The pieces of each sentence."""
    for sentence in _SENTENCE.findall(text):
        tokens = [token for word in basic(sentence) for token in wordpiece(word, vocabulary)]
        if tokens:
            yield tokens


def basic(text: str) -> list[str]:
    """BasicTokenizer: clean up, spaces around Han, small letters without accents, punctuation apart."""
    cleaned = []
    for character in text:
        point = ord(character)
        category = unicodedata.category(character)
        if character in "\t\n\r" or category == "Zs":
            cleaned.append(" ")
        elif point and point != 0xFFFD and category not in ("Cc", "Cf"):
            han = (
                0x4E00 <= point <= 0x9FFF
                or 0x3400 <= point <= 0x4DBF
                or 0x20000 <= point <= 0x2CEAF
                or 0xF900 <= point <= 0xFAFF
            )
            cleaned.append(f" {character} " if han else character)
    words = []
    for word in "".join(cleaned).split():
        plain = "".join(
            mark for mark in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(mark) != "Mn"
        )
        current = ""
        for character in plain:
            if unicodedata.category(character).startswith("P") or (
                character.isascii() and not character.isalnum()
            ):
                words += [current, character] if current else [character]
                current = ""
            else:
                current += character
        if current:
            words.append(current)
    return words


def wordpiece(word: str, vocabulary: dict[str, int]) -> list[str]:
    """Greedy longest match first."""
    if len(word) > 200:
        return ["[UNK]"]
    tokens, start = [], 0
    while start < len(word):
        end = len(word)
        while start < end:
            token = ("##" if start else "") + word[start:end]
            if token in vocabulary:
                break
            end -= 1
        if start == end:
            return ["[UNK]"]
        tokens.append(token)
        start = end
    return tokens


def segment(tokens: list[str], cut: Any) -> list[str]:
    """ "##" before every Han character that goes on a word of up to three characters which jieba sees in
    the sentence.
    """
    words = set(cut("".join(tokens)))
    marked, at = [], 0
    while at < len(tokens):
        if not re.match("[\u4e00-\u9fa5]", tokens[at]):
            marked.append(tokens[at])
            at += 1
            continue
        for length in (3, 2, 1):
            if at + length <= len(tokens) and (
                length == 1 or "".join(tokens[at : at + length]).replace("##", "") in words
            ):
                marked += [tokens[at], *("##" + token for token in tokens[at + 1 : at + length])]
                at += length
                break
    return marked


def pairs(
    documents: list[Document], document: Document, number: int, rng: random.Random, words: list[str]
) -> Iterator[dict[str, Any]]:
    """create_instances_from_document: runs of sentences, half of them followed by a run of another
    document.
    """
    most = MAX_LENGTH - 3
    target = rng.randint(2, most) if rng.random() < SHORT else most
    run: Document = []
    length, at = 0, 0
    while at < len(document):
        run.append(document[at])
        length += len(document[at])
        if at == len(document) - 1 or length >= target:
            end = rng.randint(1, len(run) - 1) if len(run) >= 2 else 1
            first = [token for sentence in run[:end] for token in sentence]
            is_random = len(run) == 1 or rng.random() < 0.5
            second: list[str] = []
            if is_random:
                other = documents[rng.randint(0, len(documents) - 1)]
                for sentence in other[rng.randint(0, len(other) - 1) :]:
                    second += sentence
                    if len(second) >= target - len(first):
                        break
                at -= len(run) - end
            else:
                second = [token for sentence in run[end:] for token in sentence]
            while len(first) + len(second) > most:
                longer = first if len(first) > len(second) else second
                del longer[0 if rng.random() < 0.5 else -1]
            if first and second:
                yield masked(
                    ["[CLS]", *first, "[SEP]", *second, "[SEP]"], len(first) + 2, is_random, rng, words
                )
            run, length = [], 0
        at += 1


def masked(
    tokens: list[str], second: int, is_random: bool, rng: random.Random, words: list[str]
) -> dict[str, Any]:
    """create_masked_lm_predictions with whole words."""
    groups: list[list[int]] = []
    for at, token in enumerate(tokens):
        if token in ("[CLS]", "[SEP]"):
            continue
        if groups and token.startswith("##"):
            groups[-1].append(at)
        else:
            groups.append([at])
    rng.shuffle(groups)
    shown = [token[2:] if re.match("##[\u4e00-\u9fa5]", token) else token for token in tokens]
    output, chosen = list(shown), []
    most = min(MAX_PREDICTIONS, max(1, round(len(tokens) * SHARE)))
    for group in groups:
        if len(chosen) >= most:
            break
        if len(chosen) + len(group) > most:
            continue
        for at in group:
            fate = rng.random()
            output[at] = (
                "[MASK]" if fate < 0.8 else shown[at] if fate < 0.9 else words[rng.randint(0, len(words) - 1)]
            )
            chosen.append(at)
    chosen.sort()
    return {
        "pieces": output,
        "second": second,
        "random": is_random,
        "positions": chosen,
        "labels": [shown[at] for at in chosen],
    }


def serialised(example: dict[str, Any], vocabulary: dict[str, int], tf: Any) -> bytes:
    """The tf.train.Example with the seven features of run_pretraining.py."""
    ids = [vocabulary.get(token, vocabulary["[UNK]"]) for token in example["pieces"]]
    room = MAX_LENGTH - len(ids)
    empty = MAX_PREDICTIONS - len(example["positions"])
    features = collections.OrderedDict(
        input_ids=ids + [0] * room,
        input_mask=[1] * len(ids) + [0] * room,
        segment_ids=[int(at >= example["second"]) for at in range(len(ids))] + [0] * room,
        masked_lm_positions=example["positions"] + [0] * empty,
        masked_lm_ids=[vocabulary.get(token, vocabulary["[UNK]"]) for token in example["labels"]]
        + [0] * empty,
        next_sentence_labels=[int(example["random"])],
    )
    made = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        for name, values in features.items()
    }
    weights = [1.0] * len(example["positions"]) + [0.0] * empty
    made["masked_lm_weights"] = tf.train.Feature(float_list=tf.train.FloatList(value=weights))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()
