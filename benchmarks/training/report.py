"""The document of `make bench-training`: targets, tables, a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, flags
from benchmarks.training import bounds
from benchmarks.training import workload as work
from mobilebert.storage.atomic import write_atomically

Found = Mapping[str, Any]
EAGER, COMPILED, TEXTBREWER = "PyTorch eager", "torch.compile", "TextBrewer"
HEAD = """# Training steps beside PyTorch's

Written by `make bench-training`. {machine}; bfloat16 in hardware: {flags}. {cores} cores and as many threads
for every arm; arms take turns (A B C A B C ..., two steps a turn after one that does not count, {rounds}
turns), medians; ratios of the joint step are medians of the ratios within each turn, since a machine's speed
changes. Parts that were measured again (`--only`) are of another run than the others. transformers
{transformers}, torch {torch}, tensorflow {tensorflow}.

The work: Chinese base-f4 student, BERT-base teacher, {batch} full sequences of {length} tokens, {predictions}
masked; feature map and attention transfer in all 12 layers, masked language modelling, global clipping, AdamW
without bias correction (PyTorch's counts from step 1,000,000). All arms start from the same weights and give
the same loss (to 1e-3 in float32, checked in every run; gradients and updated weights in
`tests/unit/test_benchmarks_training.py`). Libraries compute logits at all positions, we at the masked ones
alone; "logits gathered" is PyTorch given the same saving by hand.
"""


NAMED = {"layer": "", "frozen": ", below frozen"}
HEAD_KEYS = (
    "machine",
    "flags",
    "cores",
    "rounds",
    "transformers",
    "torch",
    "tensorflow",
    "batch",
    "length",
    "predictions",
)


def write(measured: Found, folder: Path, *, cores: int, rounds: int) -> None:
    """Write the page, its figures as JSON and its picture."""
    import tensorflow as tf
    import torch
    import transformers

    about = {
        "machine": describe(),
        "flags": ", ".join(flags("amx_bf16", "avx512_bf16")) or "no",
        "cores": cores,
        "rounds": rounds,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "tensorflow": tf.__version__,
        "batch": work.BATCH,
        "length": work.LENGTH,
        "predictions": work.PREDICTIONS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        folder / "training.json", (json.dumps({"about": about, **measured}, indent=1) + "\n").encode()
    )
    text = document(measured, about)
    write_atomically(folder / "training.md", text.encode())
    picture(measured, folder / "training.png")
    print(text)


def read(folder: Path) -> dict[str, Any]:
    """What an earlier run wrote to training.json.

    Raises:
        SystemExit: nothing lies there.
    """
    path = folder / "training.json"
    if not path.is_file():
        raise SystemExit(
            f"{path}: not there, so the page would lack the parts that are not measured; run without "
            f"--only first"
        )
    measured: dict[str, Any] = json.loads(path.read_text("utf-8"))
    del measured["about"]
    for name in ("stages", "beside"):  # JSON's keys are text
        measured["progressive"][name] = {
            int(stage): arms for stage, arms in measured["progressive"][name].items()
        }
    return measured


def document(measured: Found, about: Mapping[str, Any]) -> str:
    """The page."""
    blocks = [HEAD.format(**about)]
    rows = [
        [name, value, target, "met" if met else "**missed**"]
        for name, value, target, met in targets(measured)
    ]
    blocks.append("## Targets\n\n" + _table(["", "measured", "target", ""], rows))
    blocks.append("![seconds a step](training.png)\n")
    for precision in ("float32", "bfloat16"):
        blocks.append(f"## Joint step, {precision}\n\n" + _table(*_arms(measured[precision])))
    blocks.append(_progressive(measured["progressive"]))
    return "\n".join(blocks)


def targets(measured: Found) -> Iterator[tuple[str, str, str, bool]]:
    """What, measured, target, met; a row for each target of which both arms ran."""

    def ratio(name: str, slow: float, fast: float, target: float) -> tuple[str, str, str, bool]:
        return name, f"{slow / fast:.2f} times", f"at least {target}", slow / fast >= target

    single, half, progressive = measured["float32"], measured["bfloat16"], measured["progressive"]
    for arms, other, name, target in (
        (single, EAGER, "joint step, float32, speed against PyTorch eager", 1.25),
        (single, TEXTBREWER, "joint step, float32, speed against TextBrewer", 1.25),
        (half, EAGER, "joint step, bfloat16, against PyTorch autocast", 1.05),
        (half, COMPILED, "joint step, bfloat16, against torch.compile", 1.0),
    ):
        if other in arms:
            yield ratio(name, _of_ours(arms, other), 1, target)
    for precision, arms in (("float32", single), ("bfloat16", half)):
        share = arms["ours"]["peak_mb"] / arms[EAGER]["peak_mb"]
        yield (
            f"peak memory, joint, {precision}, against PyTorch eager",
            f"{share:.2f} times",
            "at most 1.2",
            share <= 1.2,
        )
    stages = [arm["first_seconds"] for stage in progressive["stages"].values() for arm in stage.values()]
    yield (
        "time to the first step of a stage, the slowest",
        f"{max(stages):.1f} s",
        "at most 10 s",
        max(stages) <= 10,
    )
    joint = max(arms["ours"]["first_seconds"] for arms in (single, half))
    yield "the same of the joint step", f"{joint:.1f} s", "at most 10 s", joint <= 10
    ours = [
        single["ours"],
        half["ours"],
        *(arm for stage in progressive["stages"].values() for arm in stage.values()),
    ]
    overhead = max(arm["host_share"] for arm in ours)
    yield (
        "host overhead: CPU time of the thread that tells the steps",
        f"{overhead:.1%}",
        "at most 3 %",
        overhead <= 0.03,
    )
    least = min(stage[name]["seconds"] for stage in progressive["stages"].values() for name in stage)
    room = measured["pipeline"]["batches_per_second"] * least
    yield (
        "batches from the records against the need of the fastest stage",
        f"{room:.0f} times",
        "at least 10",
        room >= 10,
    )


def _arms(arms: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            name,
            f"{arm['seconds']:.3f}",
            f"{arm['least']:.3f}",
            f"{_of_ours(arms, name):.2f}",
            f"{arm['first_seconds']:.1f}",
            f"{arm['peak_mb']:,.0f}",
            f"{arm['loss']:.4f}",
        ]
        for name, arm in arms.items()
    ]
    return ["arm", "s a step", "least", "of ours", "first step, s", "peak MB", "first loss"], rows


def _of_ours(arms: Mapping[str, Mapping[str, float]], name: str) -> float:
    """An arm's share of our step: turn by turn, else by the medians (stages have their own ratios, in
    `shares`).
    """
    return arms[name].get("of_ours", arms[name]["seconds"] / arms["ours"]["seconds"])


def _progressive(progressive: Found) -> str:
    arms = {"ours": progressive["untrimmed"], f"peer: {progressive['fastest']}": progressive["peer"]}
    for stage, measured in progressive["stages"].items():
        arms |= {f"stage of layer {stage}{NAMED[name]}": arm for name, arm in measured.items()}
    note = (
        "\n`ours` computes all 12 layers with a gate on each layer's terms, as the published programs do; "
        "so does the peer. Neither\n"
        "has an MLM head here. A stage's gradients are those of the gate's (`earlier_layers` 1). Means "
        "over stages 1 to 12, those not\n"
        f"measured interpolated linearly: "
        f"{', '.join(f'{mean:.3f} s{NAMED[name]}' for name, mean in progressive['means'].items())}.\n"
        "The phase is\n"
        f"{_times(progressive, 'layer', 'untrimmed')} our untrimmed step's speed and "
        f"{_times(progressive, 'layer', 'peer')} the fastest peer's, and\n"
        f"frozen {_times(progressive, 'frozen', 'untrimmed')} our untrimmed step's. These ratios compare "
        f"each stage with `ours` and the peer in\n"
        f"the same turns ({_beside(progressive, 'untrimmed')} s and\n"
        f"{_beside(progressive, 'peer')} s beside stages {', '.join(map(str, progressive['beside']))}): a "
        f"machine's speed changes.\n"
    )
    return (
        f"## Progressive transfer, {progressive['precision']}\n\n"
        + _table(*_arms(arms))
        + note
        + bounds.paragraph()
    )


def _times(progressive: Found, name: str, other: str) -> str:
    return f"{1 / progressive['shares'][name][other]:.2f} times"


def _beside(progressive: Found, name: str) -> str:
    return ", ".join(f"{both[name]:.3f}" for both in progressive["beside"].values())


def picture(measured: Found, path: Path) -> None:
    """Seconds a step of every arm, as bars."""
    from matplotlib.figure import Figure

    bars = [
        (f"{name}, {precision}", arm["seconds"])
        for precision in ("float32", "bfloat16")
        for name, arm in measured[precision].items()
    ]
    progressive = measured["progressive"]
    bars += [
        ("all layers, ours", progressive["untrimmed"]["seconds"]),
        ("all layers, fastest peer", progressive["peer"]["seconds"]),
    ]
    bars += [
        (f"progressive, mean of stages{NAMED[name]}", seconds)
        for name, seconds in progressive["means"].items()
    ]
    figure = Figure(figsize=(8, 0.3 * len(bars) + 1), layout="constrained")
    axes = figure.subplots()
    ours = ("ours", "all layers, ours", "progressive")
    axes.barh(
        [name for name, _ in bars],
        [value for _, value in bars],
        color=["#2a6" if name.startswith(ours) else "#999" for name, _ in bars],
    )
    axes.invert_yaxis()
    axes.set_xlabel("seconds a step (median)")
    figure.savefig(path, dpi=110)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
