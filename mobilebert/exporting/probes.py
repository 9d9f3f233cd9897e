"""Inputs on which an export and its model are compared, and the number that says how far they are apart."""

from __future__ import annotations

import math

import numpy as np

from mobilebert.exporting.network import INPUTS, Batch
from mobilebert.tokenization import Tokenizer

SENTENCES = (
    "今天下午，图书馆的自习室里坐满了准备考试的学生。",
    "这家饭馆的豆腐做得很好，就是上菜太慢了！",
    "长江全长六千三百多公里，是亚洲最长的河流。",
    "请问从这里到火车站，坐地铁大概需要多少时间？",
    "她把 iPhone 15 的价格（5999 元）记在了本子上。",
    "秋天到了，山上的枫叶一天比一天红。",
)


def probes(tokenizer: Tokenizer, length: int, seed: int) -> list[Batch]:
    """Inputs of shape (1, length) int32 as users will give them, and some at the edges.

    A sentence, a pair of sentences in two segments, a text that fills the length without padding, a text with
    masks, ids from the whole vocabulary with padding, and the empty text.

    Args:
        tokenizer: makes the ids.
        length: S, at least 16.
        seed: another seed gives other sentences and ids.
    """
    texts = [
        tokenizer.encode(SENTENCES[(seed + number) % len(SENTENCES)]).ids.tolist()
        for number in range(len(SENTENCES))
    ]
    everything = [token for text in texts for token in text]
    full = (everything * math.ceil(length / max(1, len(everything))))[: length - 2]
    masked = [
        tokenizer.mask if position % 7 == 3 else token
        for position, token in enumerate(everything[: length // 2])
    ]
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, tokenizer.size, length // 2 - 2).tolist()
    return [
        _batch(tokenizer, length, texts[0]),
        _batch(tokenizer, length, texts[1], texts[2]),
        _batch(tokenizer, length, full),
        _batch(tokenizer, length, masked),
        _batch(tokenizer, length, drawn),
        _batch(tokenizer, length, []),
    ]


def _batch(tokenizer: Tokenizer, length: int, first: list[int], second: list[int] | None = None) -> Batch:
    """[CLS] first [SEP] (second [SEP]) [PAD]..., cut to the length."""
    room = length - 2 if second is None else (length - 3) // 2
    ids = [tokenizer.cls, *first[:room], tokenizer.sep]
    segments = [0] * len(ids)
    if second is not None:
        ids += [*second[:room], tokenizer.sep]
        segments += [1] * (len(ids) - len(segments))
    padding = length - len(ids)
    rows = (ids + [tokenizer.pad] * padding, [1] * len(ids) + [0] * padding, segments + [0] * padding)
    return {name: np.array([row], np.int32) for name, row in zip(INPUTS, rows, strict=True)}
