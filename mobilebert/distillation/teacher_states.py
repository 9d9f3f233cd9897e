"""What a teacher's layers gave for the batches of a progressive transfer, kept from one stage for the next.

Where all stages see the same batches (`transfer.same_batches`) no layer of the teacher need be computed twice. A stage starts from the
output that the stage before kept for each step, computes the layers that it compares, and keeps the last of them in its place. Batches
bring the outputs along, and the training step computes nothing of the teacher.

A file a step. One that is missing, damaged or was never written costs time and nothing else: that step computes the teacher from the
token ids, with the same bits. So a killed stage, a full disk and a removed folder change no result.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mobilebert.distillation import matching
from mobilebert.models.layers import wide
from mobilebert.records.reader import Leaving
from mobilebert.settings import Transfer

log = logging.getLogger(__name__)
HIDDEN, SCORES = "teacher_hidden_", "teacher_scores_"  # of a batch's tensors, the layer's number behind
CHECKSUM = 4  # bytes of CRC-32 behind the numbers


class Given(NamedTuple):
    """What a batch brings of its teacher, to be read as `models.Encoded`: outputs by layer (0: embeddings), scores by layer - 1."""

    hidden: dict[int, tf.Tensor]
    scores: dict[int, tf.Tensor]


def given(batch: Mapping[str, Any]) -> Given | None:
    """The teacher's outputs that a batch brings along; None: it brings none."""
    hidden = {int(name.removeprefix(HIDDEN)): tensor for name, tensor in batch.items() if name.startswith(HIDDEN)}
    scores = {int(name.removeprefix(SCORES)) - 1: tensor for name, tensor in batch.items() if name.startswith(SCORES)}
    return Given(hidden, scores) if hidden or scores else None


class Part(NamedTuple):
    """The teacher's layers that one stage computes.

    Attributes:
        below: the layer whose output the stage before kept; 0: the stage starts from the token ids.
        needs: what it compares.
        kept: whether the stage after it starts from the last of its layers.
    """

    below: int
    needs: matching.Needs
    kept: bool


def part(settings: Transfer, student_layers: int, teacher_layers: int, layer: int) -> Part | None:
    """What the stage of a student's layer computes of its teacher; None where it compares all of the teacher's layers.

    A stage that looks at layers below the last one of the stage before starts from the token ids.
    """
    listed = matching.matches(settings, student_layers, teacher_layers)
    stages = matching.matched_layers(settings, student_layers)
    here = stages.index(layer)

    def needs(place: int) -> matching.Needs | None:
        inside = 0 <= place < len(stages)
        return matching.needs([match for match in listed if match.student_layer == stages[place]]) if inside else None

    before, mine, after = (needs(place) for place in (here - 1, here, here + 1))
    if mine is None:
        return None
    below = before.top if before and before.top <= mine.bottom else 0
    return Part(below, mine, bool(after and mine.top <= after.bottom))


class TeacherStates:
    """The files that one stage reads and writes, and its batches with them."""

    def __init__(self, folder: Path, teacher: Any, part: Part, places: range, limit: float) -> None:
        """Take what is computed, and for which steps.

        Args:
            folder: of the files of all stages.
            teacher: a `models.Model`.
            part: what this stage computes of it.
            places: of the stage's steps in the order of batches; those are made ahead of need, and nothing is computed beyond.
            limit: bytes that the files may have together; what finds no room is computed from the token ids in each stage.
        """
        self._folder, self._teacher, self._part, self._places, self._limit = folder, teacher, part, places, limit
        self._refused = False
        self._remove_stale()

    def _remove_stale(self) -> None:
        """Remove what no stage will read: files of steps that a stage, stopped early, never came to."""
        used = {self._path(layer, 0).parent for layer in (self._part.below, self._part.needs.top)}
        for folder in set(self._folder.glob("layer*")) - used:
            shutil.rmtree(folder, ignore_errors=True)

    def told(self) -> str:
        """What this stage computes, for people."""
        below, needs, kept = self._part
        start = f"from layer {below}'s outputs, as far as the stage before kept them" if below else "from the token ids"
        end = f"; layer {needs.top}'s are kept below {self._folder}" if kept else ""
        return f"the teacher is computed up to layer {needs.top}, {start}{end}"

    def extended(self, batches: tf.data.Dataset, place: int) -> tf.data.Dataset:
        """The batches from a place on, with what the stage compares of its teacher: outputs (B, S, H), scores (B, A, S, S)."""
        rows, length = batches.element_spec["input_ids"].shape
        shape, dtype = self._teacher.shape, self._teacher.compute_dtype
        size = rows * length * shape.hidden_size * dtype.size
        read = Leaving(lambda place: [self._read(int(place), size)])
        # Once the interpreter ends, batches and what was read are no longer those of their places (`Leaving`): nothing is written then.
        write = Leaving(lambda place, state: [self._write(int(place), state)], last=[np.array(True)])

        def fetch(place: tf.Tensor, batch: dict[str, tf.Tensor]) -> Any:
            found = tf.numpy_function(read, [place], [tf.uint8], stateful=False)[0]
            return place, batch, tf.reshape(found, (-1, dtype.size))

        def extend(place: tf.Tensor, batch: dict[str, tf.Tensor], found: tf.Tensor) -> Any:
            nothing = tf.zeros((rows, length, shape.hidden_size), dtype)
            blank = tf.zeros((rows, shape.num_attention_heads, length, length), wide(dtype))
            needs = self._part.needs
            state, hidden, scores = tf.cond(
                place < self._places.stop,
                lambda: self._computed(batch, found, nothing.shape),
                lambda: (nothing, [nothing] * len(needs.hidden), [blank] * len(needs.scores)),
            )
            named = {f"{HIDDEN}{layer:02d}": tensor for layer, tensor in zip(needs.hidden, hidden, strict=True)}
            named |= {f"{SCORES}{layer:02d}": tensor for layer, tensor in zip(needs.scores, scores, strict=True)}
            return place, batch | named, tf.reshape(tf.bitcast(state, tf.uint8), (-1,))

        def keep(place: tf.Tensor, batch: dict[str, tf.Tensor], state: tf.Tensor) -> dict[str, tf.Tensor]:
            done = tf.numpy_function(write, [place, state], [tf.bool], stateful=True)[0]
            with tf.control_dependencies([done]):
                return {name: tf.identity(tensor) for name, tensor in batch.items()}

        options = tf.data.Options()
        # One step after the other: a layer takes all threads by itself, and each step that is made ahead holds its scores in memory.
        options.experimental_optimization.map_parallelization = False
        options.experimental_optimization.inject_prefetch = False
        return batches.enumerate(place).map(fetch).map(extend).map(keep).with_options(options)

    def _computed(self, batch: dict[str, tf.Tensor], found: tf.Tensor, shape: tf.TensorShape) -> tuple[Any, list[Any], list[Any]]:
        """The output of the last layer that is compared, outputs and scores that are; `found` holds the bytes that were kept, if any."""
        below, needs, _ = self._part
        inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
        start = tf.cond(
            tf.size(found) > 0,
            lambda: tf.reshape(tf.bitcast(found, self._teacher.compute_dtype), shape),
            lambda: self._teacher.encode(*inputs, layers=below).sequence,
        )
        encoded = self._teacher.go_on(start, inputs[-1], below, needs.top)
        hidden = [encoded.hidden[layer - below] for layer in needs.hidden]
        return encoded.sequence, hidden, [encoded.scores[layer - below - 1] for layer in needs.scores]

    def _path(self, layer: int, place: int) -> Path:
        return self._folder / f"layer{layer:02d}" / f"{place:010d}"

    def _read(self, place: int, size: int) -> np.ndarray:
        """The bytes that the stage before kept of a step; none if they are not there, or not as they were."""
        nothing = np.zeros(0, np.uint8)
        if not self._part.below or place not in self._places:
            return nothing
        try:
            told = self._path(self._part.below, place).read_bytes()
        except OSError:
            return nothing
        whole = len(told) == size + CHECKSUM and zlib.crc32(told[:-CHECKSUM]) == int.from_bytes(told[-CHECKSUM:], "little")
        return np.frombuffer(told, np.uint8, size) if whole else nothing

    def _write(self, place: int, state: np.ndarray) -> np.ndarray:
        """Keep the bytes of a step for the next stage, and no longer those that the stage before kept."""
        below, needs, kept = self._part
        if place not in self._places or (kept and needs.top == below):
            return np.array(True)
        try:
            if kept and not self._refused and (place - self._places.start + 1) * state.nbytes <= self._limit:
                self._replace(self._path(needs.top, place), state.tobytes())
            if below:
                self._path(below, place).unlink(missing_ok=True)
        except OSError as error:
            if not self._refused:
                log.warning(
                    "%s: the teacher's outputs of step %d and of later ones are not kept (%s); the next stage computes them again, which "
                    "takes longer and changes nothing",
                    *(self._folder, place, error),
                )
            self._refused = True
        return np.array(True)

    @staticmethod
    def _replace(path: Path, told: bytes) -> None:
        """Write a file with its checksum, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}")
        try:
            unfinished.write_bytes(told + zlib.crc32(told).to_bytes(CHECKSUM, "little"))
            os.replace(unfinished, path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
