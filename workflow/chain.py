"""How the stages of a run hang together: targets, and what rules take. Reads no file: one graph on any machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from snakemake.exceptions import WorkflowError

from mobilebert.corpus import finding
from mobilebert.distillation import fit, matching
from mobilebert.settings import SMALL_WORLD, Settings, to_json
from workflow import paths
from workflow.given import given, is_artifact, shape_of, tf1_checkpoint, trackable, with_shape
from workflow.paths import artifact

ARMS = ("scratch", "tables")  # the baselines


@dataclass(frozen=True)
class Chain:
    """The stages of one run; methods that take `wildcards` are Snakemake input or params functions."""

    settings: Settings

    @property
    def results(self) -> str:
        """Folder of the run's artefacts."""
        return paths.results(self.settings.run)

    @property
    def training_environment(self) -> str:
        """The conda environment of the rules that train: TensorFlow for TPUs is another package."""
        return f"../envs/{'tpu' if self.settings.training.accelerator == 'tpu' else 'train'}.yaml"

    # Sources

    def world(self, wildcards: Any = None) -> list[str]:
        """The small world, where a source names it."""
        named = any(source.from_ == SMALL_WORLD for source in self.settings.sources)
        return artifact(f"{self.results}/small_world") if named else []

    def downloads(self, wildcards: Any = None) -> list[str]:
        """The folders of fetched sources."""
        return [artifact(f"{self.results}/downloads/{name}")[0] for name in self.fetched]

    def downloaded(self, wildcards: Any = None) -> list[str]:
        """Their manifests, which decide on reruns."""
        return [artifact(f"{self.results}/downloads/{name}")[1] for name in self.fetched]

    @property
    def fetched(self) -> list[str]:
        """The names of the sources that are fetched."""
        return [source.name for source in self.settings.sources if source.from_.startswith(finding.REMOTE)]

    def source_files(self, wildcards: Any = None) -> list[str]:
        """The files of local sources that are there; `list_sources` says which source has none."""
        named = [source for source in self.settings.sources if source.from_ != SMALL_WORLD]
        local = [source for source in named if not source.from_.startswith(finding.REMOTE)]
        return trackable([file for source in local for file in finding.tracked(source.from_, source.format)])

    def sources(self, wildcards: Any = None) -> list[str]:
        """The list of all source files."""
        return artifact(f"{self.results}/sources")

    def one_source(self, wildcards: Any) -> str:
        """What decides on the bytes of the source that is fetched."""
        chosen = [source for source in self.settings.sources if source.name == wildcards.source]
        told = [{"name": source.name, "from": source.from_, "sha256": source.sha256} for source in chosen]
        return json.dumps({"sources": told}, ensure_ascii=False, sort_keys=True)

    # Corpus to records

    def test_world(self, wildcards: Any = None) -> list[str]:
        """The small world, where its test files must not be in the corpus."""
        return artifact(f"{self.results}/small_world") if SMALL_WORLD in self.settings.corpus.decontaminate else []

    def test_files(self, wildcards: Any = None) -> list[str]:
        """The user's test files that must not be in the corpus, those that are there; `clean_corpus` says which name has none."""
        named = [name for name in self.settings.corpus.decontaminate if name != SMALL_WORLD]
        return trackable([file for name in named for file in finding.find(name).files])

    def corpus(self, wildcards: Any = None) -> list[str]:
        """The cleaned documents."""
        return artifact(self.settings.corpus.from_ or f"{self.results}/corpus")

    def vocabulary_source(self, wildcards: Any = None) -> list[str]:
        """The vocab.txt or the given teacher that brings the vocabulary, if it is there."""
        return given(self.vocabulary_path())

    def tokenizer(self, wildcards: Any = None) -> list[str]:
        """The tokenizer that teacher and student share."""
        return artifact(self.settings.vocabulary.from_ or f"{self.results}/tokenizer")

    def records(self, wildcards: Any = None) -> list[str]:
        """The token records."""
        place = self.settings.records.from_
        if place and not is_artifact(place):
            return artifact(f"{self.results}/imported_records")
        return artifact(place or f"{self.results}/records")

    def classic_records(self, wildcards: Any = None) -> list[str]:
        """Somebody else's records, where the settings name any."""
        place = self.settings.records.from_
        return trackable(finding.find(place).files) if place and not is_artifact(place) else []

    def given_records(self, wildcards: Any = None) -> str:
        """Where somebody else's records are, whether any are there or not."""
        return self.settings.records.from_ or ""

    @property
    def exported_records(self) -> list[str]:
        """The records for other programs, if they are asked for."""
        return artifact(f"{self.results}/exported_records")[1:] if self.settings.records.export else []

    def records_settings(self, wildcards: Any = None) -> str:
        """What shapes the records: not where they come from, nor what is made of them later."""
        later = {"from", "user_dictionary", "export", "dupe_factor"}
        body = json.loads(to_json(self.settings, "records", "seed"))
        body["records"] = {name: value for name, value in body["records"].items() if name not in later}
        return json.dumps(body, ensure_ascii=False, sort_keys=True)

    def dictionary_path(self, wildcards: Any = None) -> str:
        """The user's words, whether the file is there or not."""
        return self.settings.records.user_dictionary or ""

    def dictionary(self, wildcards: Any = None) -> list[str]:
        """The user's words, if the file is there."""
        return given(self.settings.records.user_dictionary)

    def vocabulary_path(self, wildcards: Any = None) -> str:
        """Where the vocabulary comes from, whether it is there or not."""
        return (self.settings.vocabulary.path if self.settings.vocabulary.kind == "file" else self.settings.teacher.path) or ""

    # Teacher and students

    def teacher_path(self, wildcards: Any) -> list[str]:
        """Where the given teacher lies, whether it is there or not; nothing for one that is trained here."""
        return [self.settings.teacher.path] if self.settings.teacher.path else []

    def teacher_original(self, wildcards: Any) -> list[str]:
        """The given teacher's files, if they are there."""
        return given(self.settings.teacher.path)

    def imported_teacher(self, wildcards: Any) -> list[str]:
        """The given teacher after its import."""
        return artifact(f"{self.results}/teacher_sources/imported/{wildcards.teacher}")

    def teacher_source(self, wildcards: Any) -> list[str]:
        """The teacher before it is checked."""
        teacher = self.settings.teacher
        kind = "pretrained" if teacher.kind == "pretrain" else "retrained" if teacher.retrain_head else "imported"
        return artifact(f"{self.results}/teacher_sources/{kind}/{wildcards.teacher}")

    def teacher_needs(self, wildcards: Any) -> str:
        """What the students ask of the teacher, as JSON; no student's name is in it, so another one that asks the same reruns nothing."""
        transfer = self.settings.transfer
        layerwise = [] if transfer.schedule == "none" else matching.shared(transfer)
        found = []
        for shape in (shape_of(self.settings, student) for student in self.settings.students):
            least = 1 if transfer.schedule == "none" else matching.least_layers(transfer, shape.num_hidden_layers)
            found.append(fit.needs(shape, layerwise=layerwise) | ({fit.LEAST_LAYERS: least} if least > 1 else {}))
        return f"[{', '.join(sorted({json.dumps(one, sort_keys=True) for one in found}))}]"

    @property
    def teacher(self) -> list[str]:
        """The checked teacher."""
        return artifact(f"{self.results}/teachers/{self.settings.teacher.name}")

    def stages(self, student: str) -> list[str]:
        """The names of the transfer's stages, in their order."""
        transfer = self.settings.transfer
        if transfer.schedule == "progressive":
            return [f"layer{layer:02d}" for layer in matching.matched_layers(transfer, shape_of(self.settings, student).num_hidden_layers)]
        return ["joint"] if transfer.schedule == "joint" else []

    def previous_stage(self, wildcards: Any) -> list[str]:
        """The stage before this one; nothing before the first."""
        stages = self.stages(wildcards.student)
        if wildcards.stage not in stages:
            schedule = self.settings.transfer.schedule
            raise WorkflowError(f"transfer.schedule '{schedule}' has no stage {wildcards.stage}: {', '.join(stages)}")
        place = stages.index(wildcards.stage)
        return self._stage(wildcards.student, stages[place - 1]) if place else []

    def student_checkpoint(self, wildcards: Any) -> list[str]:
        """Where the given student's TF1 checkpoint lies, whether it is there or not."""
        return [self.settings.student.from_] if tf1_checkpoint(self.settings.student.from_) else []

    def last_stage(self, wildcards: Any) -> list[str]:
        """The transfer's last stage for a distilled student, or the one imported from a TF1 checkpoint; nothing for a baseline."""
        student, arm = student_and_arm(wildcards.model)
        if arm == "distilled" and self.student_checkpoint(wildcards):
            return artifact(f"{self.results}/student_sources/{student}")
        stages = self.stages(student)
        return self._stage(student, stages[-1]) if arm == "distilled" and stages else []

    def teacher_of(self, wildcards: Any) -> list[str]:
        """The teacher, except for the baseline that never sees one."""
        return [] if student_and_arm(wildcards.model)[1] == "scratch" else self.teacher

    def given_student(self, wildcards: Any) -> list[str]:
        """The directory of a student to go on from, if it is there; baselines start anew."""
        imported = student_and_arm(wildcards.model)[1] != "distilled" or self.student_checkpoint(wildcards)
        return [] if imported else given(self.settings.student.from_)

    def student_original(self, wildcards: Any) -> list[str]:
        """The given student's TF1 checkpoint, if it is there."""
        return given(self.settings.student.from_)

    def student_of(self, wildcards: Any) -> str:
        """The student's name without the baseline's."""
        return student_and_arm(wildcards.model)[0]

    def arm_of(self, wildcards: Any) -> str:
        """`distilled`, or the baseline: `scratch`, `tables`."""
        return student_and_arm(wildcards.model)[1]

    def extra_steps(self, wildcards: Any) -> int:
        """Steps that a baseline trains longer, so that every arm has the same number: those of the transfer."""
        student, arm = student_and_arm(wildcards.model)
        return 0 if arm == "distilled" else self.settings.transfer.training.steps * len(self.stages(student))

    def teacher_settings(self, wildcards: Any) -> str:
        """The settings of the teacher's pretraining."""
        shape = self.settings.teacher.shape
        return with_shape(self.settings, shape, "teacher.shape", "teacher.training", "masking", "training", "seed")

    def transfer_settings(self, wildcards: Any) -> str:
        """The settings of a stage of a student's transfer."""
        return with_shape(self.settings, wildcards.student, "recipe", "transfer", "student", "masking", "training", "seed")

    def pretraining_settings(self, wildcards: Any) -> str:
        """The settings of a student's pretraining; with those of the transfer where that is part of its loss."""
        student, arm = student_and_arm(wildcards.model)
        transfer = ["transfer"] if arm == "distilled" and self.settings.transfer.schedule == "auxiliary" else []
        return with_shape(self.settings, student, "recipe", *transfer, "pretraining", "student", "masking", "training", "seed")

    def _stage(self, student: str, stage: str) -> list[str]:
        return artifact(f"{self.results}/students/{student}/transfer/{stage}")

    # Tasks, exports

    def model(self, wildcards: Any) -> list[str]:
        """A model by its name: STUDENT, STUDENT-STAGE, STUDENT-BASELINE or teacher-TEACHER."""
        name = wildcards.model
        if name == f"teacher-{self.settings.teacher.name}":
            return self.teacher
        for student in self.settings.students:
            if name.removeprefix(f"{student}-") in self.stages(student):
                return self._stage(student, name.removeprefix(f"{student}-"))
        known = [*self.settings.students, *(f"{student}-{arm}" for student in self.settings.students for arm in ARMS)]
        if name not in known:
            stages = [f"{student}-{stage}" for student in self.settings.students for stage in self.stages(student)]
            names = ", ".join([*known, *stages, f"teacher-{self.settings.teacher.name}"])
            raise WorkflowError(f"no model is called {name}; there are {names}")
        return artifact(f"{self.results}/students/{name}/pretrained")

    def task_world(self, wildcards: Any) -> list[str]:
        """The small world, where the task's files come from it."""
        files = getattr(self.settings.task, wildcards.task).files
        return artifact(f"{self.results}/small_world") if SMALL_WORLD in (files.train, files.dev) else []

    def task_files(self, wildcards: Any) -> list[str]:
        """The task's own files that are there."""
        files = getattr(self.settings.task, wildcards.task).files
        return [file for path in (files.train, files.dev) if path != SMALL_WORLD for file in given(path)]

    def task_file_settings(self, wildcards: Any) -> str:
        """The settings of one task's files: another task changes nothing here."""
        return to_json(self.settings, f"task.{wildcards.task}.files")

    def task_training_settings(self, wildcards: Any) -> str:
        """The settings of one task's finetuning."""
        return to_json(self.settings, f"task.{wildcards.task}.training", "training", "seed")

    def task_scoring_settings(self, wildcards: Any) -> str:
        """The settings of one task's scoring."""
        return to_json(self.settings, f"task.{wildcards.task}.training", "training")

    def task(self, wildcards: Any) -> list[str]:
        """A task's prepared files."""
        return artifact(f"{self.results}/tasks/{wildcards.task}")

    def finetuned(self, wildcards: Any) -> list[str]:
        """A finetuned model."""
        return artifact(f"{self.results}/finetuned/{wildcards.model}/{wildcards.task}/seed-{wildcards.repeat}")

    def export(self, wildcards: Any) -> list[str]:
        """One export of a model."""
        return artifact(f"{self.results}/exports/{wildcards.model}/{wildcards.format}")

    @property
    def known_tasks(self) -> list[str]:
        """All tasks that there are, whether the run scores on them or not."""
        return list(type(self.settings.task).model_fields)

    @property
    def known_formats(self) -> list[str]:
        """All forms that a model can be exported in."""
        return list(get_args(get_args(type(self.settings.export).model_fields["formats"].annotation)[0]))

    # What a run makes

    @property
    def students(self) -> list[str]:
        """Folders of the finished students."""
        return [f"{self.results}/students/{student}/pretrained" for student in self.settings.students]

    @property
    def models(self) -> list[str]:
        """Names of the models that are scored."""
        teacher = [f"teacher-{self.settings.teacher.name}"] if self.settings.finetuning.teacher else []
        return [*teacher, *self.baselines, *self.settings.students]

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines."""
        return [f"{student}-{arm}" for student in self.settings.students for arm in self.settings.baselines]

    @property
    def scores(self) -> list[str]:
        """Folders of all single scores."""
        seeds = range(self.settings.finetuning.seeds)
        pairs = [f"{model}/{task}" for model in self.models for task in self.settings.tasks]
        return [f"{self.results}/scores/{pair}/seed-{seed}" for pair in pairs for seed in seeds]

    def exports(self, kind: str = "exports") -> list[str]:
        """Folders of the students' exports, or of their `checks`."""
        return [f"{self.results}/{kind}/{student}/{form}" for student in self.settings.students for form in self.settings.export.formats]

    def exports_of(self, wildcards: Any) -> list[str]:
        """Folders of one model's exports."""
        return [f"{self.results}/exports/{wildcards.model}/{form}" for form in self.settings.export.formats]

    def checks_of(self, wildcards: Any) -> list[str]:
        """Folders of the checks of one model's exports."""
        return [f"{self.results}/checks/{wildcards.model}/{form}" for form in self.settings.export.formats]

    def published_manifests(self, wildcards: Any) -> list[str]:
        """The manifests of one model's exports and checks."""
        return [f"{folder}/{paths.MANIFEST}" for folder in [*self.exports_of(wildcards), *self.checks_of(wildcards)]]

    def scores_table(self, wildcards: Any = None) -> list[str]:
        """The table of scores, if any task is scored."""
        return [f"{self.results}/scores.tsv"] if self.settings.tasks else []

    def teacher_export(self, kind: str = "exports") -> list[str]:
        """Folder of the teacher's TFLite file, which is only timed, or of its `latency`; none if switched off."""
        shown = self.settings.export.teacher and "tflite" in self.settings.export.formats
        return [f"{self.results}/{kind}/teacher-{self.settings.teacher.name}/tflite"] if shown else []

    @property
    def latencies(self) -> list[str]:
        """The timings of the exports; a TF1 checkpoint is the transformers directory's network again."""
        folders = [*self.exports("latency"), *self.teacher_export("latency")]
        return [f"{folder}.json" for folder in folders if not folder.endswith("/tf1")]

    @property
    def receipts(self) -> list[str]:
        """The receipts of what is published; none where publishing is switched off."""
        return [f"{self.results}/published/{student}.json" for student in self.settings.students] if self.settings.publish.to else []

    @property
    def reported_settings(self) -> list[str]:
        """The sections that the report shows: all that shape a result."""
        others = {"checkpoint_seconds", "teacher_states_gb", "state_bucket", "on_nonfinite", "beam"}
        return [name for name in Settings.model_fields if name not in others]

    def folder_of_page(self, wildcards: Any, output: Any) -> str:
        """The results folder that the report describes: the one where it is written."""
        return str(Path(output.page).parent)

    def export_settings(self, wildcards: Any) -> str:
        """What shapes a single export: another format more changes nothing here."""
        shaping = {name: getattr(self.settings.export, name) for name in ("sequence_length", "tolerance")}
        return json.dumps({"export": shaping}, sort_keys=True)

    def vocabulary_settings(self, wildcards: Any) -> str:
        """What shapes an imported vocabulary."""
        return json.dumps({"vocabulary": {"kind": self.settings.vocabulary.kind}}, sort_keys=True)

    @property
    def reported(self) -> list[str]:
        """What the report is written from; what these were made from is found through their lineage."""
        models = [*self.students, *(f"{self.results}/students/{name}/pretrained" for name in self.baselines)]
        exports = [*self.exports(), *self.exports("checks"), *self.teacher_export()]
        manifests = [f"{folder}/{paths.MANIFEST}" for folder in [*models, *self.scores, *exports]]
        return [self.corpus()[1], self.records()[1], self.teacher[1], *manifests, *self.scores_table(), *self.latencies, *self.receipts]


def student_and_arm(model: str) -> tuple[str, str]:
    """`mini-scratch` -> ("mini", "scratch"); `mini` -> ("mini", "distilled")."""
    for arm in ARMS:
        if model.endswith(f"-{arm}"):
            return model.removesuffix(f"-{arm}"), arm
    return model, "distilled"
