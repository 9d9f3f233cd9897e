"""What `make quality` compares (benchmarks/quality/quality.yaml) as jobs: data, teachers, and for each arm
and seed a chain of trainings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.quality.jobs import ROOT, Job

DESIGN = ROOT / "benchmarks" / "quality" / "quality.yaml"
TASK = "chnsenticorp"
CALL = 10  # steps of one host call: trainings have a multiple of it
ARMS: dict[str, dict[str, Any]] = {
    "scratch": {},
    "tables": {},
    "soft labels": {"schedule": "none"},
    "joint": {"schedule": "joint"},
    "progressive, frozen": {"schedule": "progressive", "earlier_layers": 0.0},
    "progressive, 0.1": {"schedule": "progressive", "earlier_layers": 0.1},
    "progressive, 1.0": {"schedule": "progressive", "earlier_layers": 1.0},
    "auxiliary": {"schedule": "auxiliary"},
}


@dataclass(frozen=True)
class Lengths:
    """Optimizer steps of an arm: a stage of the transfer, how many stages, and the masked language
    modelling.
    """

    stage: int
    stages: int
    pretraining: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.stage * self.stages + self.pretraining


@dataclass(frozen=True)
class Chain:
    """One student: the trainings one after the other, the last of which makes it, and its score on the
    task.
    """

    setting: str
    arm: str
    seed: int
    lengths: Lengths
    trainings: list[Job]
    score: Job | None


class Plan:
    """The design and the jobs that follow from it."""

    def __init__(self, design: Mapping[str, Any]) -> None:
        """Take the content of quality.yaml; its paths are relative to the repository, so that names do not
        depend on where that lies.
        """
        self.design = design
        self.settings: dict[str, dict[str, Any]] = design["settings"]
        self._common = {"masking": design["masking"], "training": design["training"]}
        self._data(design["data"])
        self.teachers = {name: self._teacher(setting) for name, setting in self.settings.items()}

    def _data(self, data: Mapping[str, Any]) -> None:
        """The jobs from the source files to `records`, `tokenizer` and `task`."""
        seed = {"seed": self.design["teacher_seed"]}
        sources = Job(
            "list_sources",
            "sources",
            {"sources": data["sources"]},
            {},
            _files(source["from"] for source in data["sources"]),
        )
        tests = _files(data["corpus"]["decontaminate"])
        corpus = Job("clean_corpus", "corpus", {"corpus": data["corpus"]}, {"sources": sources}, tests)
        self.tokenizer = Job(
            "learn_vocabulary", "tokenizer", {"vocabulary": data["vocabulary"]} | seed, {"corpus": corpus}
        )
        arguments = {"corpus": corpus, "tokenizer": self.tokenizer}
        self.records = Job("write_records", "records", {"records": data["records"]} | seed, arguments)
        self.task = Job(
            "prepare_task",
            TASK,
            {f"task.{TASK}.files": data["task"]},
            {"task": TASK},
            _files(data["task"].values()),
        )

    def _teacher(self, setting: Mapping[str, Any]) -> Job:
        teacher = setting["teacher"]
        settings = {
            "teacher.shape": teacher["shape"],
            "teacher.training": teacher["training"],
            "seed": self.design["teacher_seed"],
        }
        arguments = {"records": self.records, "tokenizer": self.tokenizer}
        name = f"teacher-{teacher['shape']}"
        return Job(
            "pretrain_teacher",
            name,
            settings | self._shapes(teacher["shape"]) | self._common,
            arguments,
            trains=True,
            threads=teacher["threads"],
        )

    def _shapes(self, name: str) -> dict[str, Any]:
        """The shape of that name as the commands take it, for the vocabulary that is learned here."""
        return {
            "shapes": {
                name: self.design["shapes"][name] | {"vocab_size": self.design["data"]["vocabulary"]["size"]}
            }
        }

    def layers(self, setting: str) -> int:
        """Layers of a setting's student, which are the stages of a progressive transfer."""
        return int(self.design["shapes"][self.settings[setting]["student"]]["num_hidden_layers"])

    def lengths(self, setting: str, arm: str, factor: float = 1.0) -> Lengths:
        """An arm's steps: those of the setting, or `factor` times as many, shared out in the same way."""
        steps = self.settings[setting]["steps"] * factor
        schedule = ARMS[arm].get("schedule")
        stages = {"joint": 1, "progressive": self.layers(setting)}.get(schedule, 0)
        stage = _calls(steps * self.design["transfer_share"] / stages) if stages else 0
        return Lengths(stage, stages, max(CALL, _calls(steps) - stage * stages))

    def chain(
        self,
        setting: str,
        arm: str,
        seed: int,
        lengths: Lengths,
        rates: Mapping[str, float] | None = None,
        *,
        scored: bool = False,
    ) -> Chain:
        """The jobs of an arm, with those of its task score if asked for; `rates` replaces the design's of
        `transfer` and `pretraining`.
        """
        entry = self.settings[setting]
        rates = rates or entry["rates"][arm]
        student, teacher = entry["student"], self.teachers[setting]
        common = self._shapes(student) | self._common | {"seed": seed, "recipe": "ours", "student": {}}
        data = {"student": student, "records": self.records, "tokenizer": self.tokenizer}
        transfer = {name: ARMS[arm][name] for name in ("schedule", "earlier_layers") if name in ARMS[arm]}
        name = f"{setting}-{arm.replace(', ', '-').replace(' ', '-')}-seed{seed}"
        trainings: list[Job] = []
        for stage in self.stages(arm, lengths):
            training = self.design["transfer"] | {"steps": lengths.stage, "learning_rate": rates["transfer"]}
            previous: dict[str, str | Job | None] = {"previous": trainings[-1]} if trainings else {}
            settings = common | {"transfer": transfer | {"training": training}}
            arguments = data | {"stage": stage, "teacher": teacher} | previous
            trainings.append(Job("transfer_layer", f"{name}-{stage}", settings, arguments, trains=True))
        trainings.append(
            self._pretraining(name, arm, common, data, teacher, lengths, rates, transfer, trainings)
        )
        return Chain(
            setting, arm, seed, lengths, trainings, self._score(name, trainings[-1], seed) if scored else None
        )

    def _pretraining(
        self,
        name: str,
        arm: str,
        common: Mapping[str, Any],
        data: Mapping[str, str | Job | None],
        teacher: Job,
        lengths: Lengths,
        rates: Mapping[str, float],
        transfer: Mapping[str, Any],
        before: list[Job],
    ) -> Job:
        steps = lengths.pretraining
        warmup = int(steps * self.design["warmup_share"])
        training = self.design["pretraining"] | {
            "steps": steps,
            "learning_rate": rates["pretraining"],
            "warmup_steps": warmup,
        }
        settings = dict(common) | {
            "pretraining": {"ground_truth_ratio": self.design["ground_truth_ratio"], "training": training}
        }
        if transfer.get("schedule") == "auxiliary":
            settings["transfer"] = dict(transfer)
        taught: dict[str, str | Job | None] = {} if arm == "scratch" else {"teacher": teacher}
        previous: dict[str, str | Job | None] = {"previous": before[-1]} if before else {}
        arm_argument = {"arm": arm if arm in ("scratch", "tables") else "distilled"}
        return Job(
            "pretrain_student", name, settings, dict(data) | arm_argument | taught | previous, trains=True
        )

    def stages(self, arm: str, lengths: Lengths) -> list[str]:
        """The names of an arm's stages of transfer."""
        if ARMS[arm].get("schedule") == "joint":
            return ["joint"]
        return [f"layer{layer:02d}" for layer in range(1, lengths.stages + 1)]

    def teacher_score(self, setting: str, seed: int) -> Job:
        """The teacher finetuned and scored on the task."""
        return self._score(self.teachers[setting].name, self.teachers[setting], seed)

    def _score(self, name: str, model: Job, seed: int) -> Job:
        settings = {f"task.{TASK}.training": self.design["finetuning"], "training": self.design["training"]}
        arguments = {"task": TASK, "repeat": "0", "data": self.task}
        tuned = Job(
            "finetune_task",
            f"{name}-{TASK}",
            settings | {"seed": seed},
            arguments | {"model": model},
            trains=True,
        )
        return Job("score_task", f"{name}-{TASK}-score", settings, arguments | {"name": name, "model": tuned})


def read_design(path: Path = DESIGN) -> dict[str, Any]:
    """The content of quality.yaml."""
    design: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return design


def _files(names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(ROOT / name for name in names)


def _calls(steps: float) -> int:
    """The nearest number of steps that fills host calls, at least one."""
    return max(1, round(steps / CALL)) * CALL
