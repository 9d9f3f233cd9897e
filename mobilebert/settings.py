"""Every setting: its type, default, unit, meaning and source. Checks, the JSON schema and docs/settings.md come from here.

Sections stand in pipeline order. A rule receives only the sections that it names (`to_json`, `from_json`), so a changed
setting reruns the stages that use it and what follows them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Task = Literal["chnsenticorp", "cmrc2018"]
Student = Literal["base-f2", "base-f4", "large-f2", "large-f4", "opt", "tiny", "mini"]
Baseline = Literal["scratch", "tables"]
SMALL_WORLD = "small_world"


def _not_boolean(value: Any) -> Any:
    # bool is an int in Python, and YAML reads no/yes/on/off as booleans.
    if isinstance(value, bool):
        raise ValueError("a number is expected, found true/false (YAML reads yes, no, on and off so)")
    return value


Number = Annotated[float, BeforeValidator(_not_boolean)]
Count = Annotated[int, BeforeValidator(_not_boolean)]



class Section(BaseModel):
    """A block of settings: unknown keys are refused, numbers written as text (`1e-4`) are accepted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class SmallWorld(Section):
    """The generated Chinese world that stands in for sources and tasks (`from: small_world`)."""

    megabytes: Annotated[Number, Field(gt=0)] = Field(6.0, description="Text to write, before dirt", json_schema_extra={"unit": "MB"})
    dirt: Annotated[Number, Field(ge=0, le=1)] = Field(0.12, description="Share of planted dirt: copies, mojibake, boilerplate, ...")
    questions: Annotated[Count, Field(ge=20)] = Field(1200, description="CMRC questions in the training file (a fifth more in dev)")
    reviews: Annotated[Count, Field(ge=20)] = Field(1600, description="ChnSentiCorp reviews in the training file (a fifth more in dev)")


class Source(Section):
    """One source of raw text."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = Field(description="Name in tables and reports")
    from_: str = Field(alias="from", description="`small_world`, a file, folder, glob, or an https:// address")
    format: Literal["auto", "text", "lines", "jsonl", "html", "markdown", "mediawiki"] = Field(
        "auto", description="`auto` goes by the file's name; `lines`: a sentence a line, an empty line between documents"
    )
    text_field: str = Field("text", description="JSONL field that holds the text")
    licence: str = Field("unknown", description="Licence of the text, for the model card")
    sha256: str | None = Field(None, description="Expected digest of a fetched file")


class Corpus(Section):
    """Cleaning and deduplication."""

    from_: str | None = Field(None, alias="from", description="Folder of cleaned documents (Parquet, column `text`) to use instead")
    simplify: bool = Field(False, description="Convert Traditional to Simplified Chinese (OpenCC t2s)")
    min_characters: Annotated[Count, Field(ge=1)] = Field(60, description="Shortest document", json_schema_extra={"unit": "characters"})
    min_han_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.30, description="Least share of Han among all characters but white space", json_schema_extra={"source": "EvalWeb preprocess.py"}
    )
    max_uncommon_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.10, description="Most share of Han outside the fixed list of common characters (finds mojibake)"
    )
    max_duplicate_line_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.287, description="Most share of lines that repeat an earlier one", json_schema_extra={"source": "FineWeb-2 cmn_Hani.yml"}
    )
    max_repeated_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.5, description="Most share of repeated 13-grams of characters", json_schema_extra={"source": "EvalWeb preprocess.py"}
    )
    min_punctuated_line_share: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.106, description="Least share of lines that end in closing punctuation", json_schema_extra={"source": "FineWeb-2 cmn_Hani.yml"}
    )
    near_duplicates: bool = Field(True, description="Drop near-duplicates too (exact ones always go)")
    near_duplicate_similarity: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.7, description="Jaccard similarity of character 5-grams from which two documents count as one"
    )
    rejects_per_reason: Count | Literal["all"] = Field(50, description="Rejected documents kept per source and reason", json_schema_extra={"unit": "documents"})
    on_error: Literal["skip", "stop"] = Field("skip", description="A file that cannot be read: name and count it, or stop")
    block_megabytes: Annotated[Number, Field(gt=0, le=64)] = Field(2.0, description="Text a Beam element refers to", json_schema_extra={"unit": "MB"})


class Vocabulary(Section):
    """The tokenizer that teacher and student share."""

    kind: Literal["learned", "file", "teacher"] = Field("learned", description="sentencepiece on the corpus, a given vocab.txt, or the given teacher's")
    path: str | None = Field(None, description="vocab.txt for `kind: file`")
    model: Literal["unigram", "bpe"] = Field("bpe", description="sentencepiece model for `kind: learned`")
    size: Annotated[Count, Field(ge=300, le=65536)] = Field(4000, description="Entries for `kind: learned`", json_schema_extra={"unit": "tokens"})
    sample_megabytes: Annotated[Number, Field(gt=0)] = Field(20.0, description="Text that sentencepiece sees", json_schema_extra={"unit": "MB"})


class Records(Section):
    """TFRecords of token ids with word starts."""

    from_: str | None = Field(None, alias="from", description="Records artefact (of the same tokenizer) to use instead")
    sequence_length: Annotated[Count, Field(ge=16, le=512)] = Field(128, description="Tokens a record, [CLS], [SEP] and [PAD] included", json_schema_extra={"unit": "tokens"})
    layout: Literal["windows", "pairs"] = Field("windows", description="`windows`: [CLS] A [SEP]; `pairs`: [CLS] A [SEP] B [SEP] of one document")
    heldout_share: Annotated[Number, Field(gt=0, lt=0.5)] = Field(0.02, description="Documents held out, chosen by the hash of their text")
    shards: Annotated[Count, Field(ge=1)] = Field(4, description="Training files")


class Masking(Section):
    """Masks for masked language modelling, drawn while training."""

    strategy: Literal["wwm", "token"] = Field("wwm", description="Whole words, or single tokens")
    share: Annotated[Number, Field(gt=0, lt=1)] = Field(0.15, description="Share of tokens predicted", json_schema_extra={"source": "BERT, Devlin et al. 2018"})
    max_predictions: Annotated[Count, Field(ge=1)] = Field(20, description="Most predictions a sequence (static shape)", json_schema_extra={"unit": "tokens"})


class Optimization(Section):
    """One training: how long and how fast."""

    steps: Annotated[Count, Field(ge=1)] = Field(100, description="Optimizer steps", json_schema_extra={"unit": "steps"})
    batch_size: Annotated[Count, Field(ge=1)] = Field(32, description="Sequences a step over all devices", json_schema_extra={"unit": "sequences"})
    learning_rate: Annotated[Number, Field(gt=0)] = Field(1e-3, description="Peak rate")
    warmup_steps: Annotated[Count, Field(ge=0)] = Field(0, description="Linear warm-up", json_schema_extra={"unit": "steps"})
    decay: Literal["linear", "constant"] = Field("linear", description="From the peak to (nearly) zero at the last step, or not")
    weight_decay: Annotated[Number, Field(ge=0)] = Field(0.01, description="Decoupled, not for biases and norms", json_schema_extra={"source": "BERT optimization.py"})
    clip_norm: Annotated[Number, Field(gt=0)] = Field(1.0, description="Global gradient norm", json_schema_extra={"source": "BERT optimization.py"})


class Teacher(Section):
    """Where the teacher comes from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = Field("small", description="Its name in paths and tables")
    kind: Literal["pretrain", "transformers"] = Field("pretrain", description="Trained here on the records, or a transformers directory")
    path: str | None = Field(None, description="The transformers directory for `kind: transformers`")
    shape: Literal["mini-teacher", "bert-base", "bert-large"] = Field("mini-teacher", description="Shape for `kind: pretrain`; `mini-teacher` has trigram input")
    training: Optimization = Field(Optimization(steps=600, learning_rate=1.5e-3, warmup_steps=50), description="Its pretraining for `kind: pretrain`")
    min_lift: Number = Field(
        0.0, description="Least masked-token accuracy above the unigram baseline, or the teacher is refused (a random head has none)", json_schema_extra={"unit": "share of tokens"}
    )


class StudentStart(Section):
    """What a student starts from."""

    from_: str | None = Field(None, alias="from", description="transformers directory of a student to go on from; no transfer then")
    tables_from_teacher: bool = Field(True, description="Copy embedding tables and MLM head of equal name and shape", json_schema_extra={"source": "Chinese-MobileBERT run_pretraining.py"})


class Transfer(Section):
    """Knowledge transfer, layer by layer or all layers at once."""

    schedule: Literal["progressive", "joint", "none"] = Field("progressive", description="A job a layer, one job for all layers, or none")
    losses: Literal["corrected", "published", "google_tf2"] = Field(
        "corrected", description="Per-layer statistics without padding; or as the TF1 code, or Google's TF2 port, computes them"
    )
    earlier_layers: Annotated[Number, Field(ge=0, le=1)] = Field(0.0, description="Rate factor of the layers below the current one (0: frozen)", json_schema_extra={"source": "MobileBERT paper: 0.1"})
    feature_map_factor: Annotated[Number, Field(ge=0)] = Field(100.0, description="Weight of feature map transfer", json_schema_extra={"source": "MobileBERT run_pretraining.py"})
    attention_factor: Annotated[Number, Field(ge=0)] = Field(1.0, description="Weight of attention transfer", json_schema_extra={"source": "MobileBERT run_pretraining.py"})
    mean_factor: Annotated[Number, Field(ge=0)] = Field(5000.0, description="Weight of the mean term", json_schema_extra={"source": "MobileBERT run_pretraining.py"})
    variance_factor: Annotated[Number, Field(ge=0)] = Field(5.0, description="Weight of the variance term", json_schema_extra={"source": "MobileBERT run_pretraining.py"})
    training: Optimization = Field(Optimization(steps=60, learning_rate=2e-3, decay="constant"), description="One stage")


class Pretraining(Section):
    """Pretraining distillation after the transfer."""

    ground_truth_ratio: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.5, description="Weight of the true token against the teacher's distribution; 1: plain masked language modelling", json_schema_extra={"source": "MobileBERT run_pretraining.py"}
    )
    training: Optimization = Field(Optimization(steps=200, learning_rate=1.5e-3, warmup_steps=20), description="The training")


class TaskFiles(Section):
    """Where a task's files lie."""

    train: str = Field(SMALL_WORLD, description="Training file, or `small_world`")
    dev: str = Field(SMALL_WORLD, description="Development file, scored at the end, or `small_world`")


class TaskTraining(Section):
    """How a task is finetuned."""

    epochs: Annotated[Number, Field(gt=0)] = Field(3.0, description="Passes over the training file")
    batch_size: Annotated[Count, Field(ge=1)] = Field(32, description="Sequences a step", json_schema_extra={"unit": "sequences"})
    learning_rate: Annotated[Number, Field(gt=0)] = Field(6e-5, description="Peak rate", json_schema_extra={"source": "Chinese-MobileBERT README"})
    warmup_share: Annotated[Number, Field(ge=0, lt=1)] = Field(0.1, description="Share of the steps that warm up", json_schema_extra={"source": "Chinese-MobileBERT README"})
    sequence_length: Annotated[Count, Field(ge=16, le=512)] = Field(128, description="Tokens a sequence", json_schema_extra={"unit": "tokens"})
    weight_decay: Annotated[Number, Field(ge=0)] = Field(0.01, description="Decoupled, not for biases and norms")


class TaskSettings(Section):
    """One task: files and finetuning."""

    files: TaskFiles = Field(TaskFiles(), description="Its files")
    training: TaskTraining = Field(TaskTraining(), description="Its finetuning")


class TaskTable(Section):
    """All tasks that are known; `tasks` says which are run."""

    chnsenticorp: TaskSettings = Field(TaskSettings(training=TaskTraining(learning_rate=1e-3)), description="ChnSentiCorp, sentiment, accuracy")
    cmrc2018: TaskSettings = Field(TaskSettings(training=TaskTraining(learning_rate=1e-3)), description="CMRC 2018, reading, EM and F1")


class Finetuning(Section):
    """What is finetuned how often."""

    seeds: Annotated[Count, Field(ge=1)] = Field(1, description="Finetunings a model and task, each with its own seed")
    teacher: bool = Field(True, description="Score the teacher too")


class Export(Section):
    """Forms that people load."""

    formats: list[Literal["transformers", "tflite"]] = Field(["transformers", "tflite"], description="What to write")
    sequence_length: Annotated[Count, Field(ge=16, le=512)] = Field(128, description="Fixed length of the TFLite input", json_schema_extra={"unit": "tokens"})
    tolerance: Annotated[Number, Field(gt=0)] = Field(1e-4, description="Largest relative difference between an export and the model")


class Publish(Section):
    """Where finished models go."""

    to: str | None = Field("published", description="A folder or `gs://bucket/prefix`; null publishes nothing")
    version: str = Field("auto", description="`auto`: named by the digest of what is published; a version is immutable")
    licence: str = Field("apache-2.0", description="Licence of the model, for the card")


class Training(Section):
    """How every training runs."""

    accelerator: Literal["auto", "cpu", "gpu", "tpu"] = Field("auto", description="Device that trains; `auto` takes what is found and says so")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Compute precision; weights and losses stay float32")
    steps_per_call: Annotated[Count, Field(ge=1)] = Field(10, description="Steps between looks of the host", json_schema_extra={"unit": "steps"})


class Settings(Section):
    """All settings of a run, in pipeline order."""

    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = Field("demo", description="Name of the run: results lie under results/RUN")
    seed: Annotated[Count, Field(ge=0, lt=2**31)] = Field(20, description="The one seed; each stage derives its own from it by name")
    checkpoint_seconds: Annotated[Number, Field(ge=0)] = Field(600, description="Time between checkpoints of a training (0: after every call)", json_schema_extra={"unit": "s"})
    small_world: SmallWorld = Field(SmallWorld(), description="The generated world")
    sources: list[Source] = Field([Source(name=SMALL_WORLD, **{"from": SMALL_WORLD})], description="Raw text", min_length=1)
    corpus: Corpus = Field(Corpus(), description="Cleaning and deduplication")
    vocabulary: Vocabulary = Field(Vocabulary(), description="Tokenizer")
    records: Records = Field(Records(), description="Token records")
    masking: Masking = Field(Masking(), description="Masks")
    training: Training = Field(Training(), description="How every training runs")
    teacher: Teacher = Field(Teacher(), description="Teacher")
    students: list[Student] = Field(["mini"], description="Students to make", min_length=1)
    student: StudentStart = Field(StudentStart(), description="What students start from")
    transfer: Transfer = Field(Transfer(), description="Knowledge transfer")
    pretraining: Pretraining = Field(Pretraining(), description="Pretraining distillation")
    baselines: list[Baseline] = Field([], description="Same student and steps without distillation: from random weights, from the teacher's tables")
    tasks: list[Task] = Field(["chnsenticorp", "cmrc2018"], description="Tasks to score on")
    task: TaskTable = Field(TaskTable(), description="Settings of each task")
    finetuning: Finetuning = Field(Finetuning(), description="Finetuning")
    export: Export = Field(Export(), description="Exports")
    publish: Publish = Field(Publish(), description="Publishing")

    @model_validator(mode="after")
    def _combinations(self) -> Settings:
        for wrong in _wrong_combinations(self):
            raise ValueError(wrong)
        return self


def _wrong_combinations(settings: Settings) -> list[str]:
    """Settings that are right alone and wrong together, each as a line that says what to change."""
    teacher, vocabulary = settings.teacher, settings.vocabulary
    wrong = []
    if teacher.kind != "pretrain" and teacher.path is None:
        wrong.append("teacher.path: missing; name the transformers directory of the teacher, or set teacher.kind to pretrain")
    if teacher.kind != "pretrain" and vocabulary.kind != "teacher":
        wrong.append(f"vocabulary.kind: '{vocabulary.kind}' with a given teacher; set it to teacher, since a given teacher brings its vocabulary")
    if teacher.kind == "pretrain" and vocabulary.kind == "teacher":
        wrong.append("vocabulary.kind: 'teacher' needs a given teacher; set it to learned or file, or teacher.kind to transformers")
    if vocabulary.kind == "file" and vocabulary.path is None:
        wrong.append("vocabulary.path: missing; name the vocab.txt, or set vocabulary.kind to learned")
    if settings.masking.max_predictions >= settings.records.sequence_length:
        wrong.append("masking.max_predictions: must be smaller than records.sequence_length")
    if len({source.name for source in settings.sources}) < len(settings.sources):
        wrong.append("sources: two sources have the same name; give each its own")
    for name in ("students", "tasks", "baselines"):
        if len(set(getattr(settings, name))) < len(getattr(settings, name)):
            wrong.append(f"{name}: an entry stands there twice")
    if settings.student.from_ and settings.transfer.schedule != "none":
        wrong.append("student.from: a given student is not transferred again; set transfer.schedule to none")
    return wrong


def derive_seed(seed: int, *names: str | int) -> int:
    """A stage's own seed in [0, 2**31), from the run's seed and the stage's name."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def to_json(settings: Settings, *names: str) -> str:
    """The named sections (dots reach inside: `task.cmrc2018`) as JSON with sorted keys, for a rule's params."""
    body: dict[str, Any] = {}
    for name in names:
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        body[name] = _plain(value)
    return json.dumps(body, ensure_ascii=False, sort_keys=True)


def from_json(text: str) -> dict[str, Any]:
    """The typed sections that `to_json` wrote, by name; sections of one task come back as TaskSettings."""
    body = json.loads(text)
    return {name: _typed(name, value) for name, value in body.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _typed(name: str, value: Any) -> Any:
    model: type[BaseModel] = Settings
    *parents, last = name.split(".")
    for part in parents:
        model = model.model_fields[part].annotation  # type: ignore[assignment]
    kind = model.model_fields[last].annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_validate(value)
    if last == "sources":
        return [Source.model_validate(item) for item in value]
    return value
