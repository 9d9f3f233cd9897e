"""One arm of `make bench-training`: the same step written with transformers and PyTorch, or given to
TextBrewer.

python -m benchmarks.training.torch_peer FOLDER KIND PRECISION THREADS; KIND is joined by "-": joint or
untrimmed (no MLM head: the transfer alone, all layers), then any of compiled, gathered (logits at the masked
positions only, as ours), textbrewer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional

from benchmarks.training import workload as work

EPSILON = 1e-12  # of the layer normalisation in feature map transfer, as ours
LATE = 1e6  # a step at which 0.9 ** step and 0.999 ** step are 0: no bias correction, as in BERT's AdamW
Tensors = dict[str, torch.Tensor]


def main() -> None:
    """Serve turns; see `training_work`."""
    folder, kind, precision, threads = (
        Path(sys.argv[1]),
        set(sys.argv[2].split("-")),
        sys.argv[3],
        int(sys.argv[4]),
    )
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    student, teacher = load(folder)
    batch = {name: torch.from_numpy(values).long() for name, values in work.read_batch(folder).items()}
    optimizer = make_optimizer(student)
    if "textbrewer" in kind:
        textbrewer_turns(student, teacher, batch, optimizer)
        return
    work.serve(step_of(student, teacher, batch, optimizer, kind, precision), time.monotonic())


def load(folder: Path) -> tuple[Any, Any]:
    """Student and teacher from our directories, with attention that gives its maps; `eval` so that nothing
    drops out.
    """
    options = {"attn_implementation": "eager", "dtype": torch.float32}
    student = transformers.MobileBertForMaskedLM.from_pretrained(folder / work.STUDENT, **options)
    teacher = transformers.BertModel.from_pretrained(
        folder / work.TEACHER, add_pooling_layer=False, **options
    )
    return student.eval(), teacher.eval().requires_grad_(False)


def make_optimizer(student: Any) -> torch.optim.Optimizer:
    """AdamW in its fused form, no decay for biases and norms, without bias correction."""
    decayed, others = [], []
    for name, parameter in student.named_parameters():
        (others if "bias" in name or "LayerNorm" in name else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": work.DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=work.LEARNING_RATE, betas=(0.9, 0.999), eps=1e-6, fused=True)
    for parameter in student.parameters():
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(LATE), **moments}
    return optimizer


def step_of(
    student: Any,
    teacher: Any,
    batch: Tensors,
    optimizer: torch.optim.Optimizer,
    kind: set[str],
    precision: str,
) -> Callable[[], float]:
    """A function that takes a step and gives its loss."""
    gate = torch.zeros(work.LAYERS)
    gate[-1] = 1.0

    def forward() -> torch.Tensor:
        return (
            untrimmed_loss(student, teacher, batch, gate)
            if "untrimmed" in kind
            else joint_loss(student, teacher, batch, kind)
        )

    compute = torch.compile(forward) if "compiled" in kind else forward

    def call() -> float:
        with _cast(precision):
            loss = compute()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), work.CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return call


def _cast(precision: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")


def joint_loss(student: Any, teacher: Any, batch: Tensors, kind: set[str]) -> torch.Tensor:
    """Masked language modelling, and feature map and attention transfer in all layers."""
    encoded, target = _encoded(student, teacher, batch)
    labels, positions = batch["masked_ids"].reshape(-1), batch["masked_positions"]
    sequence = encoded.last_hidden_state
    if "gathered" in kind:
        index = positions[..., None].expand(-1, -1, sequence.shape[-1])
        logits = student.cls(sequence.gather(1, index))
    else:  # as MobileBertForMaskedLM.forward does
        logits = student.cls(sequence)
        logits = logits.gather(1, positions[..., None].expand(-1, -1, logits.shape[-1]))
    masked = functional.cross_entropy(logits.reshape(len(labels), -1).float(), labels)
    return masked + sum(layer_losses(encoded, target))


def untrimmed_loss(student: Any, teacher: Any, batch: Tensors, gate: torch.Tensor) -> torch.Tensor:
    """All layers computed, the terms of one let through (LAYERS,)."""
    return (torch.stack(layer_losses(*_encoded(student, teacher, batch))) * gate).sum()


def layer_losses(encoded: Any, target: Any) -> list[torch.Tensor]:
    """Feature map and attention transfer of each layer, weighted."""
    hidden = zip(target.hidden_states[1:], encoded.hidden_states[1:], strict=True)
    maps = zip(target.attentions, encoded.attentions, strict=True)
    features = [work.FEATURE_MAP * feature_map(ours, theirs) for theirs, ours in hidden]
    attentions = [work.ATTENTION * attention(ours, theirs) for theirs, ours in maps]
    return [(one + other) / len(features) for one, other in zip(features, attentions, strict=True)]


def feature_map(output: torch.Tensor, target: torch.Tensor, mask: Any = None) -> torch.Tensor:
    """Mean square of the difference of layer-normalised outputs (B, S, H)."""
    del mask
    width = output.shape[-1:]
    one, other = (functional.layer_norm(tensor.float(), width, eps=EPSILON) for tensor in (output, target))
    return functional.mse_loss(one, other)


def attention(output: torch.Tensor, target: torch.Tensor, mask: Any = None) -> torch.Tensor:
    """Cross-entropy of attention maps (B, A, S, S), probabilities as transformers gives them."""
    del mask
    return -(target.float() * (output.float() + 1e-30).log()).sum(-1).mean()


def _encoded(student: Any, teacher: Any, batch: Tensors) -> tuple[Any, Any]:
    inputs = {
        "input_ids": batch["input_ids"],
        "token_type_ids": batch["segment_ids"],
        "attention_mask": batch["input_mask"],
    }
    more = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        target = teacher(**inputs, **more)
    return student.mobilebert(**inputs, **more), target


def textbrewer_turns(student: Any, teacher: Any, batch: Tensors, optimizer: torch.optim.Optimizer) -> None:
    """Let TextBrewer's GeneralDistiller train, on batches that wait for their turn."""
    import textbrewer
    from textbrewer.presets import register_new

    register_new("match_Loss", "feature_map", feature_map)
    register_new("match_Loss", "attention_map", attention)
    matches = [
        {
            "layer_T": layer + shift,
            "layer_S": layer + shift,
            "feature": feature,
            "loss": loss,
            "weight": weight / work.LAYERS,
        }
        for layer in range(work.LAYERS)
        for feature, loss, weight, shift in (
            ("hidden", "feature_map", work.FEATURE_MAP, 1),
            ("attention", "attention_map", work.ATTENTION, 0),
        )
    ]
    losses: list[float] = []

    def adapt_student(_: Any, outputs: Any) -> dict[str, Any]:
        return {"losses": (outputs.loss,), "hidden": outputs.hidden_states, "attention": outputs.attentions}

    def adapt_teacher(_: Any, outputs: Any) -> dict[str, Any]:
        return {"hidden": outputs.hidden_states, "attention": outputs.attentions}

    class Distiller(textbrewer.GeneralDistiller):  # type: ignore[misc]
        def write_loss(self, total_loss: Any, writer_step: int, losses_dict: Any = None) -> None:
            del writer_step, losses_dict
            losses.append(total_loss.item())

    distiller = Distiller(
        train_config=textbrewer.TrainingConfig(
            device="cpu", ckpt_steps=10**9, log_dir=None, output_dir="/dev/null"
        ),
        distill_config=textbrewer.DistillationConfig(
            kd_loss_weight=0, hard_label_weight=1, intermediate_matches=matches
        ),
        model_T=teacher,
        model_S=student,
        adaptor_T=adapt_teacher,
        adaptor_S=adapt_student,
    )
    labels = torch.full_like(batch["input_ids"], -100).scatter(
        1, batch["masked_positions"], batch["masked_ids"]
    )
    more = {"output_hidden_states": True, "output_attentions": True}
    inputs = {
        "input_ids": batch["input_ids"],
        "token_type_ids": batch["segment_ids"],
        "attention_mask": batch["input_mask"],
    }
    teacher.forward = _ignoring_labels(teacher.forward)
    rows = _waiting({**inputs, "labels": labels, **more}, losses)
    try:
        distiller.train(optimizer, rows, num_steps=10**9, max_grad_norm=work.CLIP)
    except _Done:
        work.goodbye()


class _Done(Exception):
    """There are no more turns."""


class _waiting:
    """The one batch, given when the orchestrator asks for a step; asking for the next batch means that the
    step was taken.
    """

    def __init__(self, batch: dict[str, Any], losses: list[float]) -> None:
        self._batch, self._losses = batch, losses

    def __iter__(self) -> Iterator[dict[str, Any]]:
        start = time.monotonic()
        yield self._batch
        work.say({"loss": self._losses[0], "first_seconds": time.monotonic() - start})
        for steps in work.turns():
            seconds, host = [], []
            for _ in range(steps):
                start, own = time.monotonic(), time.thread_time()
                yield self._batch
                seconds.append(time.monotonic() - start)
                host.append(time.thread_time() - own)
            work.say({"seconds": seconds, "host": host})
        raise _Done


def _ignoring_labels(forward: Callable[..., Any]) -> Callable[..., Any]:
    """TextBrewer gives both models the same arguments."""
    return lambda *arguments, labels=None, **named: forward(*arguments, **named)


if __name__ == "__main__":
    main()
