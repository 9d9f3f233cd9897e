"""What every training command here does around its objective: read, resume, train, measure, write the artefact, clean up."""

from __future__ import annotations

import json
import logging
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobilebert import tokenization
from mobilebert.distillation import evaluation, fit, unbroken
from mobilebert.errors import UserError
from mobilebert.models import shapes, weights
from mobilebert.records import reader
from mobilebert.settings import Optimization, Settings, derive_seed, from_json, to_json
from mobilebert.storage import artifacts
from mobilebert.tokenization import files, importing
from mobilebert.training import accelerators, hosts, loop, schedules, state
from mobilebert.training.options import RunOptions
from mobilebert.training.steps import Batches, at_once_of

log = logging.getLogger(__name__)
Extend = Callable[[Any, int], Any]  # a dataset of batches and the place of its first -> one with more in each batch


class Work:
    """A training command's settings, and the artefacts that it reads.

    Attributes:
        options: the command line.
        sections: the typed settings by section name.
        told: the same as a manifest shows them, JSON values.
        accelerator: what trains.
        records: the token records.
        tokenizer: what they were written with.
    """

    def __init__(self, options: Namespace, *names: str) -> None:
        """Open the records and their tokenizer.

        Args:
            options: the command line.
            names: the sections that the command uses; one that `--settings` leaves out has its defaults.

        Raises:
            UserError: an artefact is absent or damaged, or records and tokenizer do not belong together.
        """
        self.options = options
        body: dict[str, Any] = json.loads(to_json(Settings(), *names)) | json.loads(options.settings)
        self.sections = from_json(json.dumps(body))
        self.told = state.without_paths(body)
        # Before anything else of TensorFlow: its threads are fixed once it has started.
        self.accelerator = accelerators.find(self.sections["training"].accelerator, options.threads)
        self.records = reader.RecordSet(options.records)
        artifacts.read(options.tokenizer, "tokenizer")
        self.tokenizer = tokenization.load(options.tokenizer)
        fit.check_tokenizers({f"the records in {options.records}": self.records.vocabulary, str(options.tokenizer): self.tokenizer.digest})

    def seed(self, *names: str) -> int:
        """The seed of a part of this work, derived from the run's."""
        return derive_seed(self.sections["seed"], *names)

    def shape(self, name: str) -> shapes.Shape:
        """The shape of that name for the records' vocabulary: one of the user's own (`shapes` in `--settings`), or a known one.

        Raises:
            UserError: the name is unknown, or the user's shape has another vocabulary.
        """
        own = self.sections.get("shapes", {})
        if name not in own:
            return shapes.named(name, self.tokenizer.size)
        shape = shapes.from_config(own[name], f"shapes.{name}")
        if shape.vocab_size != self.tokenizer.size:
            raise UserError(
                f"shapes.{name}: vocab_size is {shape.vocab_size}, but the tokenizer of the records ({self.options.tokenizer}) has "
                f"{self.tokenizer.size} entries; change the file, or take the vocabulary that it is for (vocabulary.kind)"
            )
        return shape

    def load(self, folder: Path) -> Any:
        """The model of a folder (`models.Model`), refused if the records are not for it."""
        self.check_tokenizer(folder)
        model = weights.load(folder, compute_dtype=self.sections["training"].precision)
        if model.shape.max_position_embeddings < self.records.sequence_length:
            raise UserError(
                f"{folder}: it knows {model.shape.max_position_embeddings} positions, but the records hold sequences of "
                f"{self.records.sequence_length} tokens; lower records.sequence_length"
            )
        return model

    def check_tokenizer(self, folder: Path) -> None:
        """Refuse a model whose tokenizer is not the one that the records were written with."""
        fit.check_tokenizers({str(self.options.tokenizer): self.tokenizer.digest, str(folder): _tokenizer_digest(folder)})

    def measure(self, model: Any, batch_size: int) -> dict[str, Any]:
        """The content of evaluation.json: the held-out figures, with the same masks for every model, and the size.

        The model was made in the accelerator's scope; all devices, and hosts, compute `batch_size` sequences at a time together.
        """
        found = evaluation.masked_lm(model, self.records, self.sections["masking"], batch_size, self.seed("heldout"), self.accelerator)
        log.info(
            "held out: %.4f of %d masked tokens right (%.4f by always guessing the most frequent one), loss %.4f",
            *(found[name] for name in ("masked_accuracy", "predictions", "unigram_accuracy", "masked_loss")),
        )
        return {"heldout": found, "parameters": model.parameters}


@dataclass(frozen=True)
class Plan:
    """One training of a command.

    Attributes:
        command: its name, part of the fingerprint.
        name: of the unfinished work's folder, and of the progress line.
        optimization: how long and how fast.
        seed: of batches and masks.
        make: gives the model that is written and the objective; called where variables belong to the accelerator.
        arguments: what shapes the result besides settings and inputs (JSON values), for manifest and fingerprint.
        shape: of the model that is trained, as config.json.
        inputs: role -> artefact, besides records and tokenizer.
        evaluate: whether to measure the model on held-out records.
        span: the objective -> the steps that are taken; None: all of `optimization`.
        finish: called with the objective once it is trained, before the model is written.
        goes_on: whether another job may go on from here: the optimizer's state is written too.
        extending: the objective, the steps that are taken and their sequences' lengths -> what adds to batches (`Extend`), for as long as
            the training lasts; None: they are as the records give them.
    """

    command: str
    name: str
    optimization: Optimization
    seed: int
    make: Callable[[], tuple[Any, Any]]
    arguments: Mapping[str, Any]
    shape: Mapping[str, Any]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    evaluate: bool = True
    span: Callable[[Any], loop.Span] | None = None
    finish: Callable[[Any], None] | None = None
    goes_on: bool = False
    extending: Callable[[Any, loop.Span, Mapping[int, int]], AbstractContextManager[Extend | None]] | None = None


def carry_out(work: Work, plan: Plan) -> None:
    """Train what is planned, from where an earlier attempt stopped, and write the model artefact to `--out`."""
    options, training = work.options, work.sections["training"]
    inputs = {"records": options.records, "tokenizer": options.tokenizer, **plan.inputs}
    told = work.told | {"arguments": dict(plan.arguments)}
    with work.accelerator.scope():
        model, objective = plan.make()
    span = plan.span(objective) if plan.span else None
    taken = span or loop.Span(0, plan.optimization.steps)
    lengths = schedules.lengths(plan.optimization, taken.start, taken.stop, work.records.sequence_length)
    for length in set(lengths.values()) - {work.records.sequence_length}:
        work.records.check_length(length)  # now, and not when its phase comes
    extending = plan.extending(objective, taken, lengths) if plan.extending else nullcontext()
    mark = state.fingerprint(plan.command, told | {"shape": dict(plan.shape)}, inputs, work.accelerator.environment)
    run = RunOptions(options.out, options.state, state_bucket=options.state_bucket)
    with extending as extend, hosts.opened(work.accelerator, run, plan.name, mark) as held:
        job, at_once = _job(work, plan, objective, span, lengths, _batches(work, plan, lengths, taken.origin, extend))
        metrics = held.folder / "finished-metrics.jsonl"
        trained = loop.train(job, work.accelerator, held, metrics, options.checkpoint_seconds, options.log)
        if plan.finish:
            plan.finish(objective)
        found = work.measure(model, at_once) if plan.evaluate else None
        if not work.accelerator.chief:
            return
        with artifacts.writing(options.out, "model", settings=told, inputs=inputs, versions=weights.versions()) as writer:
            weights.save(writer, model)
            tokenization.copy_files(options.tokenizer, writer)
            writer.path("metrics.jsonl").write_bytes(metrics.read_bytes())
            if found is not None:
                write_evaluation(writer, found)
            if span is not None and plan.goes_on and training.keep == "last" and training.early_stop is None:
                unbroken.save(writer.path(unbroken.FILE), trained.tensors, span, plan.optimization.batch_size)
            writer.counts = trained.counts()
        held.finish()


def _job(
    work: Work, plan: Plan, objective: Any, span: loop.Span | None, lengths: Mapping[int, int], batches: Batches
) -> tuple[loop.Job, int]:
    """The training, and how many sequences all devices compute at once."""
    training, size = work.sections["training"], plan.optimization.batch_size
    at_once = at_once_of(size, work.accelerator.devices, training.device_batch)
    heldout = (objective, work.records, work.sections["masking"], at_once, work.seed("heldout"), training.evaluate_sequences)
    job = loop.Job(
        plan.name,
        objective,
        batches,
        plan.optimization,
        training,
        plan.seed,
        span,
        lengths,
        measure=evaluation.measure(*heldout, work.accelerator),
        records=lambda step: told_places(work.records.train_places(size, plan.seed, step)),
        skips=work.options.on_nonfinite == "skip",
    )
    return job, at_once


def told_places(places: Sequence[tuple[str, int]]) -> str:
    """Records by file, for people: "train-00000-of-00002.tfrecord: 3, 17; ..." (numbers from 0 on)."""
    files: dict[str, list[str]] = {}
    for name, number in sorted(places):
        files.setdefault(name, []).append(str(number))
    return "; ".join(f"{name}: {', '.join(numbers)}" for name, numbers in files.items())


def write_evaluation(writer: artifacts.Writer, found: Mapping[str, Any]) -> None:
    """Write evaluation.json."""
    writer.json("evaluation.json", found)


def _tokenizer_digest(folder: Path) -> str:
    """`Tokenizer.digest` of a model directory of ours, or of any other that transformers opens."""
    if (folder / files.DESCRIPTION).is_file():
        return tokenization.load(folder).digest
    with tempfile.TemporaryDirectory() as scratch:
        return files.write(artifacts.Writer(Path(scratch)), *importing.find(folder)).digest


def _batches(work: Work, plan: Plan, lengths: Mapping[int, int], origin: int, extend: Extend | None = None) -> Batches:
    """Batches from a place in the order of records on, cut as the phase of the step says that stands there."""
    masking, size = work.sections["masking"], plan.optimization.batch_size

    def batches(place: int, share: tuple[int, int] = (0, 1)) -> Any:
        length = lengths[max(first for first in lengths if first <= place - origin)]
        piece = None if length == work.records.sequence_length else length
        made = reader.train_batches(work.records, masking, size, plan.seed, place, piece, share)
        return extend(made, place) if extend else made

    return batches
