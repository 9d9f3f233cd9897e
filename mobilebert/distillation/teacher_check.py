"""Tests a teacher before anything is spent on it: its vocabulary is the records', and its MLM head fills masks.

The public large Chinese teacher's MLM head is random (`reference/mobilebert.md` section 1): distilling from it would train
the student towards noise, and nothing else in the chain would notice.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from mobilebert import artifacts, tokenization
from mobilebert.distillation.work import Work, write_evaluation
from mobilebert.errors import UserError
from mobilebert.models import weights

BATCH = 32  # sequences a measuring step


def export_teacher(options: Namespace) -> None:
    """Check the model in `--source` and write it as the teacher that students learn from (`scripts.export_teacher`).

    Raises:
        UserError: its tokenizer is not the records', or it fills masks hardly better than guessing (`teacher.min_lift`).
    """
    work = Work(options, "teacher.min_lift", "masking", "training", "seed")
    artifacts.read(options.source, "model")
    model = work.load(options.source)
    if model.fresh_head:
        raise UserError(f"{options.source}: no MLM head (cls.predictions) there, and students learn from it; use a teacher that has one")
    found = work.measure(model, BATCH)
    check_head(found["heldout"], work.sections["teacher.min_lift"], str(options.source))
    inputs = {"records": options.records, "tokenizer": options.tokenizer, "source": options.source}
    with artifacts.writing(options.out, "model", settings=work.told, inputs=inputs, versions=weights.versions()) as writer:
        weights.save(writer, model)
        tokenization.copy_files(options.source, writer)
        write_evaluation(writer, found)


def check_head(heldout: Mapping[str, Any], min_lift: float, source: str) -> None:
    """Refuse a teacher whose masked-token accuracy is not at least `min_lift` above guessing the most frequent token.

    Args:
        heldout: what `evaluation.masked_lm` gave.
        min_lift: share of tokens.
        source: the teacher's folder, for the message.

    Raises:
        UserError: saying what to do.
    """
    accuracy, unigram = heldout["masked_accuracy"], heldout["unigram_accuracy"]
    if accuracy - unigram < min_lift:
        raise UserError(
            f"{source}: its MLM head looks random: it fills {accuracy:.4f} of {heldout['predictions']} masks on held-out text, always "
            f"guessing the most frequent token fills {unigram:.4f}, and teacher.min_lift asks for {min_lift:g} more; use another teacher "
            "(public checkpoints re-saved for finetuning have lost their head), train one here for more steps (teacher.kind: pretrain, "
            "teacher.training.steps), or lower teacher.min_lift"
        )
