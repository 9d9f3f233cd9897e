"""What a teacher goes through before anything is spent on it, and how it gets an MLM head where it has none.

It must fit the students, compute here what it computes at home, share the records' vocabulary, and fill
masks. The public large Chinese teacher's MLM head is random (docs/teachers.md): distilling from it would
train the student towards noise, and nothing else in the chain would notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilebert import tokenization
from mobilebert.distillation import compatibility, parity
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.runs import (
    RecordsInput,
    TrainingPlan,
    TrainingRun,
    run_training,
    write_evaluation,
)
from mobilebert.distillation.stages import COMMON, read_model_config
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import import_teacher, weights
from mobilebert.records import reader
from mobilebert.settings import Settings
from mobilebert.storage import artifacts
from mobilebert.training.options import RunOptions

BATCH = 32  # sequences a measuring step
HEAD_TRAINING = "teacher.head_training"  # in the settings of a source whose head was trained here
Needs = Sequence[Mapping[str, int]]


def export_teacher(
    settings: Settings,
    data: RecordsInput,
    out: Path,
    *,
    source: Path,
    original: Path | None = None,
    needs: Needs = (),
    threads: int = 1,
) -> None:
    """Check a model and write it as the teacher that students learn from (`scripts.export_teacher`).

    Args:
        settings: `teacher.min_head_lift`, `masking`, `training` and `seed` are used.
        data: records and tokenizer.
        out: the artifact to write.
        source: the folder of the model.
        original: what it was imported from; None: it was trained here.
        needs: what its students ask of it (`compatibility.needs`).
        threads: to compute with.

    Raises:
        UserError: it does not fit the students, its tokenizer is not the records', our forward is not the
            source's, or it fills masks hardly better than guessing (`teacher.min_head_lift`).
    """
    compatibility.check_needs(read_model_config(source), needs, str(source))
    run = TrainingRun(settings, ("teacher.min_head_lift", *COMMON), data, threads)
    manifest = artifacts.read(source, "model")
    with run.accelerator.scope():
        model = run.load(source)
    if model.fresh_head:
        raise UserError(f"{source}: {import_teacher.NO_HEAD}")
    opened = parity.open_source(original or source)
    batch = next(
        iter(reader.heldout_batches(run.records, run.settings.masking, parity.ROWS, run.seed("heldout")))
    )
    agreement = parity.measure(source, opened, batch, head=HEAD_TRAINING not in manifest.settings)
    figures = run.measure(model, BATCH)
    check_head(figures["heldout"], run.settings.teacher.min_head_lift, str(source))
    inputs = {**run.inputs, "source": source}
    shaping = run.manifest_settings | {"needs": [dict(need) for need in needs]}
    with artifacts.writing(
        out, "model", settings=shaping, inputs=inputs, versions=weights.versions()
    ) as writer:
        weights.save(writer, model)
        tokenization.copy_files(source, writer)
        write_evaluation(writer, figures | {"parity": agreement})


def retrain_head(
    settings: Settings, data: RecordsInput, options: RunOptions, *, source: Path, needs: Needs = ()
) -> None:
    """Train a model's MLM head on the records, its body frozen (`scripts.retrain_head`).

    Args:
        settings: `teacher.head_training`, `masking`, `training` and `seed` are used.
        data: records and tokenizer.
        options: what shapes nothing.
        source: the folder of the model.
        needs: what its students ask of it (`compatibility.needs`).

    Raises:
        UserError: it does not fit the students, or its tokenizer is not the records'.
    """
    config = read_model_config(source)
    compatibility.check_needs(config, needs, str(source))
    run = TrainingRun(settings, (HEAD_TRAINING, *COMMON), data, options.threads)
    artifacts.read(source, "model")

    def make() -> tuple[Any, Any]:
        model = run.load(source)
        return model, MaskedLmObjective(model, names=model.head_names)

    plan = TrainingPlan(
        command="retrain_head",
        name=f"retrain_head-{options.out.name}",
        optimization=run.settings.teacher.head_training,
        seed=run.seed("retrain_head"),
        make=make,
        config=config.to_config(),
        inputs={"source": source},
        evaluate=False,
    )
    run_training(run, plan, options)


def check_head(heldout: Mapping[str, Any], min_head_lift: float, source: str) -> None:
    """Refuse a teacher whose masked-token accuracy is not at least `min_head_lift` above guessing the most
    frequent token.

    Args:
        heldout: what `evaluation.masked_lm` gave.
        min_head_lift: share of tokens.
        source: the teacher's folder, for the message.

    Raises:
        UserError: saying what to do.
    """
    accuracy, unigram = heldout["masked_accuracy"], heldout["unigram_accuracy"]
    if accuracy - unigram < min_head_lift:
        raise UserError(
            f"{source}: its MLM head looks random: it fills {accuracy:.4f} of {heldout['predictions']} "
            f"masks on held-out text, always guessing the most frequent token fills {unigram:.4f}, and "
            f"teacher.min_head_lift asks for {min_head_lift:g} more; let its head be trained anew "
            "(teacher.retrain_head: true; of a given teacher, body frozen; once more with more "
            "teacher.head_training.steps), use another teacher (public checkpoints re-saved for finetuning "
            "have lost their head), train one here for more steps (teacher.kind: pretrain, "
            "teacher.training.steps), or lower teacher.min_head_lift"
        )
