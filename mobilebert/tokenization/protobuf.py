"""The little that is read and changed in the bytes of a sentencepiece model.

`sentencepiece_model_pb2` wants a protobuf that Beam refuses, so it is never imported. Field numbers are those
of https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PIECES, TRAINER_SPEC, NORMALIZER_SPEC = 1, 2, 3  # of ModelProto
SCORE = 2  # of SentencePiece
MODEL_TYPE = 3  # of TrainerSpec
NORMALIZATION_RULE_TSV = 6  # of NormalizerSpec
UNIGRAM = 1  # of ModelType, the default
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types


def is_unigram(model: bytes) -> bool:
    """Whether the model is a unigram one (else BPE)."""
    trainer = next(body for number, body, _ in _fields(model) if number == TRAINER_SPEC)
    return next((body[0] for number, body, _ in _fields(trainer) if number == MODEL_TYPE), UNIGRAM) == UNIGRAM


def settled(model: bytes, score_step: float) -> bytes:
    """A freshly trained model made fit for every machine and program.

    The path of the rules file that it was trained with goes, since it lay in a temporary folder and equal
    work must give equal bytes (the compiled rules stay). Scores are rounded to multiples of `score_step`, a
    power of two: sums of scores are then exact in single and double precision alike, so that programs which
    use either choose the same pieces.
    """
    made = bytearray()
    for number, body, raw in _fields(model):
        if number == NORMALIZER_SPEC:
            body = b"".join(encoded for inner, _, encoded in _fields(body) if inner != NORMALIZATION_RULE_TSV)
        elif number == PIECES:
            body = b"".join(
                _rounded(value, score_step) if inner == SCORE else encoded
                for inner, value, encoded in _fields(body)
            )
        else:
            made += raw
            continue
        made += varint(number << 3 | LENGTH_DELIMITED) + varint(len(body)) + body
    return bytes(made)


def _rounded(value: bytes, step: float) -> bytes:
    (score,) = struct.unpack("<f", value)
    return bytes([SCORE << 3 | FIXED32]) + struct.pack("<f", round(score / step) * step)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, body, whole field) of each field in order; the body of a varint is its bytes."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        wire, begin = key & 7, at
        if wire == VARINT:
            _, at = _read_varint(message, at)
        elif wire == LENGTH_DELIMITED:
            length, begin = _read_varint(message, at)
            at = begin + length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"protobuf wire type {wire} at byte {start}")
        yield key >> 3, message[begin:at], message[start:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def varint(value: int) -> bytes:
    """A protobuf varint."""
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
