"""Tiny artifacts for the rules of tasks: a tokenizer, untrained models, two tasks that can be learnt."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mobilebert.settings import Settings, TaskTraining, Training, to_json
from mobilebert.storage import artifacts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COMMON = "山水田土日月风雨"
GOOD, BAD = "好美", "坏丑"
NAMES = "甲乙丙丁戊己"


def settings(task: str, **changes: Any) -> str:
    """The JSON that the rule gives: few steps, short sequences."""
    training = {"batch_size": 16, "learning_rate": 5e-3, "sequence_length": 24, "epochs": 4.0} | changes
    base = Settings()
    tables = base.task.model_copy(
        update={task: getattr(base.task, task).model_copy(update={"training": TaskTraining(**training)})}
    )
    changed = base.model_copy(
        update={
            "task": tables,
            "training": Training(accelerator="cpu", steps_per_call=5, evaluate_every=7, keep="best"),
        }
    )
    return to_json(changed, f"task.{task}.training", "training", "seed")


def model(folder: Path, *, kind: str = "mobilebert", tokenizer: bool = True) -> Path:
    """An untrained model of one layer with its tokenizer's files."""
    from mobilebert import models
    from mobilebert.models.checkpoints import weights
    from mobilebert.models.configs import BertConfig, MobileBertConfig
    from mobilebert.tokenization import files

    entries = [*SPECIAL, *COMMON, *GOOD, *BAD, *NAMES, "是", "谁", "（", "）"]
    sizes = {
        "vocab_size": len(entries),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
    }
    sizes["intermediate_size"] = 64
    mobile = {
        "embedding_size": 32,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 2,
        "use_bottleneck_attention": True,
    }
    config = BertConfig(**sizes) if kind == "bert" else MobileBertConfig(**sizes, **mobile)
    with artifacts.writing(folder, "model") as writer:
        if tokenizer:
            files.write(writer, "wordpiece", ("\n".join(entries) + "\n").encode(), True)
            writer.counts = {}
        weights.save(writer, models.build(config, 1))
    return folder


def sentiment(folder: Path) -> Path:
    """Classification: a good or a bad character among common ones; three in five are good."""
    draw = random.Random(1)

    def lines(count: int) -> list[dict[str, Any]]:
        labels = [int(number % 5 < 3) for number in range(count)]
        texts = [
            "".join(draw.sample([*COMMON[:6], draw.choice(GOOD if label else BAD)], 7)) for label in labels
        ]
        return [
            {"id": f"{n}", "text": text, "text_pair": None, "label": label}
            for n, (text, label) in enumerate(zip(texts, labels, strict=True))
        ]

    return _task(folder, "chnsenticorp", "classification", ["0", "1"], ["accuracy"], lines(160), lines(50))


def reading(folder: Path) -> Path:
    """Reading: the answer stands in brackets, in a context of two windows."""
    draw = random.Random(2)

    def lines(count: int) -> list[dict[str, Any]]:
        made = []
        for number in range(count):
            before, answer = draw.randint(0, 24), "".join(draw.sample(NAMES, 2))
            context = (
                "".join(draw.choices(COMMON, k=before))
                + f"（{answer}）"
                + "".join(draw.choices(COMMON, k=24 - before))
            )
            answers = [{"text": answer, "start": before + 1}]
            made.append({"id": f"Q{number}", "context": context, "question": "谁？", "answers": answers})
        return made

    return _task(folder, "cmrc2018", "reading", [], ["em", "f1"], lines(160), lines(40))


def _task(
    folder: Path, name: str, kind: str, labels: Sequence[str], metrics: Sequence[str], train: Any, dev: Any
) -> Path:
    with artifacts.writing(folder, "task") as writer:
        body = {"name": name, "kind": kind, "labels": list(labels), "metrics": list(metrics)}
        writer.path("task.json").write_text(json.dumps(body), encoding="utf-8")
        for split, lines in (("train", train), ("dev", dev)):
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            writer.path(f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder
