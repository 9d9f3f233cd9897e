"""What a teacher goes through before anything is spent on it, and how it gets an MLM head where it has none.

It must fit the students, compute here what it computes at home, share the records' vocabulary, and fill masks. The public
large Chinese teacher's MLM head is random (docs/teachers.md): distilling from it would train the student
towards noise, and nothing else in the chain would notice.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from mobilebert import tokenization
from mobilebert.distillation import fit, parity
from mobilebert.distillation.pretraining import MaskedLmObjective
from mobilebert.distillation.stages import read_shape
from mobilebert.distillation.work import Plan, Work, carry_out, write_evaluation
from mobilebert.errors import UserError
from mobilebert.models import importing, weights
from mobilebert.records import reader
from mobilebert.storage import artifacts

BATCH = 32  # sequences a measuring step
HEAD_TRAINING = "teacher.head_training"  # in the settings of a source whose head was trained here


def export_teacher(options: Namespace) -> None:
    """Check the model in `--source` and write it as the teacher that students learn from (`scripts.export_teacher`).

    Raises:
        UserError: it does not fit the students, its tokenizer is not the records', our forward is not the source's, or it
            fills masks hardly better than guessing (`teacher.min_head_lift`).
    """
    fit.check_needs(read_shape(options.source), json.loads(options.needs), str(options.source))
    work = Work(options, "teacher.min_head_lift", "masking", "training", "seed")
    manifest = artifacts.read(options.source, "model")
    with work.accelerator.scope():
        model = work.load(options.source)
    if model.fresh_head:
        raise UserError(f"{options.source}: {importing.NO_HEAD}")
    source = parity.open_source(options.original[0] if options.original else options.source)
    batch = next(iter(reader.heldout_batches(work.records, work.sections["masking"], parity.ROWS, work.seed("heldout"))))
    agreed = parity.measure(options.source, source, batch, head=HEAD_TRAINING not in manifest.settings)
    found = work.measure(model, BATCH)
    check_head(found["heldout"], work.sections["teacher.min_head_lift"], str(options.source))
    inputs = {"records": options.records, "tokenizer": options.tokenizer, "source": options.source}
    with artifacts.writing(
        options.out, "model", settings=work.told | {"needs": json.loads(options.needs)}, inputs=inputs, versions=weights.versions()
    ) as writer:
        weights.save(writer, model)
        tokenization.copy_files(options.source, writer)
        write_evaluation(writer, found | {"parity": agreed})


def retrain_head(options: Namespace) -> None:
    """Train the MLM head of the model in `--source` on the records, its body frozen (`scripts.retrain_head`).

    Raises:
        UserError: it does not fit the students, or its tokenizer is not the records'.
    """
    fit.check_needs(read_shape(options.source), json.loads(options.needs), str(options.source))
    work = Work(options, HEAD_TRAINING, "masking", "training", "seed")
    artifacts.read(options.source, "model")
    shape = read_shape(options.source)

    def make() -> tuple[Any, Any]:
        model = work.load(options.source)
        return model, MaskedLmObjective(model, names=model.head_names)

    seed = work.seed("retrain_head")
    name = f"retrain_head-{options.out.name}"
    inputs = {"source": options.source}
    carry_out(work, Plan("retrain_head", name, work.sections[HEAD_TRAINING], seed, make, {}, shape.to_config(), inputs, evaluate=False))


def check_head(heldout: Mapping[str, Any], min_head_lift: float, source: str) -> None:
    """Refuse a teacher whose masked-token accuracy is not at least `min_head_lift` above guessing the most frequent token.

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
            f"{source}: its MLM head looks random: it fills {accuracy:.4f} of {heldout['predictions']} masks on held-out text, always "
            f"guessing the most frequent token fills {unigram:.4f}, and teacher.min_head_lift asks for {min_head_lift:g} more; let its "
            "head be trained anew (teacher.retrain_head: true; of a given teacher, body frozen; once more with more "
            "teacher.head_training.steps), use another teacher (public checkpoints re-saved for finetuning have lost their head), train "
            "one here for more steps (teacher.kind: pretrain, teacher.training.steps), or lower teacher.min_head_lift"
        )
