"""Every setting: its type, default, unit, meaning and source. Checks, the JSON schema and docs/settings.md come from here.

Sections stand in pipeline order. A rule receives only the sections that it names (`to_json`, `from_json`), so a changed
setting reruns the stages that use it and what follows them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Task = Literal["chnsenticorp", "cmrc2018"]
Student = Literal["base-f2", "base-f4", "large-f2", "large-f4", "opt", "tiny", "mini"]
Baseline = Literal["scratch", "tables"]
SMALL_WORLD = "small_world"


def _not_boolean(value: Any) -> Any:
    # bool is an int in Python, and YAML reads no/yes/on/off as booleans.
    if isinstance(value, bool):
        raise ValueError("a number is expected, found true/false (YAML reads yes, no, on and off so)")
    return value


def _whole(value: Any) -> Any:
    # PyYAML reads 1e4 as text, and pydantic takes no such text for a whole number.
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("a whole number is expected") from None
    return _not_boolean(value)


def _place(value: str) -> str:
    if value.startswith("~"):
        raise ValueError("~ is the shell's; write the path out")
    return value


def _absent(value: Any) -> Any:
    # Nested values of --config arrive as text.
    return None if value in ("", "null", "~", "None") else value


Number = Annotated[float, BeforeValidator(_not_boolean), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_whole)]
Place = Annotated[str, Field(min_length=1), AfterValidator(_place)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
MaybePlace = Annotated[Place | None, BeforeValidator(_absent)]
MaybeText = Annotated[str | None, BeforeValidator(_absent)]


def says(meaning: str, default: Any = ..., *, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A setting: what it means, its default, its unit, where the default comes from, and pydantic's limits."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit, "source": source}, **limits)


class Section(BaseModel):
    """A block of settings: unknown keys are refused, numbers written as text (`1e-4`) are accepted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class SmallWorld(Section):
    """The generated Chinese world that stands in for sources and tasks (`from: small_world`)."""

    megabytes: Number = says("Text to write, before dirt", 6.0, unit="MB", gt=0)
    dirt: Number = says("Share of planted dirt: copies, mojibake, boilerplate, ...", 0.12, ge=0, le=1)
    questions: Count = says("CMRC questions in the training file (a fifth more in dev)", 1200, ge=20)
    reviews: Count = says("ChnSentiCorp reviews in the training file (a fifth more in dev)", 1600, ge=20)


class Source(Section):
    """One source of raw text."""

    name: Name = says("Name in tables and reports")
    from_: Place = says("`small_world`, a file, folder, glob, or an https:// address", alias="from")
    format: Literal["auto", "text", "lines", "jsonl", "html", "markdown", "mediawiki"] = says(
        "`auto` goes by the file's name; `lines`: a sentence a line, an empty line between documents", "auto"
    )
    text_field: str = says("JSONL field that holds the text", "text")
    text_format: Literal["plain", "markdown", "html"] = says("What the texts of a JSONL file are written in", "plain")
    licence: str = says("Licence of the text, for the model card", "unknown")
    sha256: MaybeText = says("Expected digest of a fetched file (64 hexadecimal digits)", None, pattern="^[0-9a-fA-F]{64}$")


class Corpus(Section):
    """Cleaning and deduplication."""

    from_: MaybePlace = says("Corpus folder of another run to use instead", None, alias="from")
    simplify: bool = says("Convert Traditional to Simplified Chinese (OpenCC t2s)", False)
    min_characters: Count = says("Shortest document", 60, unit="characters", ge=1)
    min_han_share: Number = says("Least share of Han among all characters but white space", 0.3, source="EvalWeb preprocess.py", ge=0, le=1)
    max_uncommon_share: Number = says("Most share of Han outside the fixed list of common characters (finds mojibake)", 0.1, ge=0, le=1)
    max_duplicate_line_share: Number = says(
        "Most share of lines that repeat an earlier one", 0.287, source="FineWeb-2 cmn_Hani.yml", ge=0, le=1
    )
    max_repeated_share: Number = says("Most share of repeated 13-grams of characters", 0.5, source="EvalWeb preprocess.py", ge=0, le=1)
    min_punctuated_line_share: Number = says(
        "Least share of lines that end in closing punctuation", 0.106, source="FineWeb-2 cmn_Hani.yml", ge=0, le=1
    )
    near_duplicates: bool = says("Drop near-duplicates too (exact ones always go)", True)
    near_duplicate_similarity: Number = says(
        "Jaccard similarity of character 5-grams from which two documents count as one", 0.7, gt=0, le=1
    )
    rejects_per_reason: Literal["all"] | Annotated[Count, Field(ge=0)] = says(
        "Rejected documents kept per source and reason", 50, unit="documents"
    )
    on_error: Literal["skip", "stop"] = says("A file that cannot be read: name and count it, or stop", "skip")
    block_megabytes: Number = says("Text a Beam element refers to", 2.0, unit="MB", gt=0, le=64)


class Vocabulary(Section):
    """The tokenizer that teacher and student share."""

    from_: MaybePlace = says("Tokenizer folder of another run to use instead", None, alias="from")
    kind: Literal["learned", "file", "teacher"] = says("sentencepiece on the corpus, a given vocab.txt, or the given teacher's", "learned")
    path: MaybePlace = says("vocab.txt for `kind: file`", None)
    model: Literal["unigram", "bpe"] = says("sentencepiece model for `kind: learned`", "bpe")
    lowercase: bool = says("Learn and read small letters only (`kind: learned`; another's vocabulary says itself)", True)
    size: Count = says("Entries for `kind: learned`", 4000, unit="tokens", ge=300, le=65536)
    sample_megabytes: Number = says("Text that sentencepiece sees", 20.0, unit="MB", gt=0)


class Records(Section):
    """TFRecords of token ids with word starts."""

    from_: MaybePlace = says("Records folder of another run to use instead (vocabulary.from names its tokenizer)", None, alias="from")
    sequence_length: Count = says("Tokens a record, [CLS], [SEP] and [PAD] included", 128, unit="tokens", ge=16, le=512)
    layout: Literal["windows", "pairs"] = says("`windows`: [CLS] A [SEP]; `pairs`: [CLS] A [SEP] B [SEP] of one document", "windows")
    heldout_share: Number = says("Documents held out, chosen by the hash of their text", 0.02, gt=0, lt=0.5)
    shards: Count = says("Training files", 4, ge=1)


class Masking(Section):
    """Masks for masked language modelling, drawn while training."""

    strategy: Literal["wwm", "token"] = says("Whole words, or single tokens", "wwm")
    share: Number = says("Share of tokens predicted", 0.15, source="BERT, Devlin et al. 2018", gt=0, lt=1)
    max_predictions: Count = says("Most predictions a sequence (static shape)", 20, unit="tokens", ge=1)


class Optimization(Section):
    """One training: how long and how fast."""

    steps: Count = says("Optimizer steps", 100, unit="steps", ge=1)
    batch_size: Count = says("Sequences a step over all devices", 32, unit="sequences", ge=1)
    learning_rate: Number = says("Peak rate", 0.001, gt=0)
    warmup_steps: Count = says("Linear warm-up", 0, unit="steps", ge=0)
    decay: Literal["linear", "constant"] = says("From the peak to (nearly) zero at the last step, or not", "linear")
    weight_decay: Number = says("Decoupled, not for biases and norms", 0.01, source="BERT optimization.py", ge=0)
    clip_norm: Number = says("Global gradient norm", 1.0, source="BERT optimization.py", gt=0)


class Teacher(Section):
    """Where the teacher comes from."""

    name: Name = says("Its name in paths and tables", "small")
    kind: Literal["pretrain", "transformers"] = says("Trained here on the records, or a transformers directory", "pretrain")
    path: MaybePlace = says("The transformers directory for `kind: transformers`", None)
    shape: Literal["mini-teacher", "bert-base", "bert-large"] = says(
        "Shape for `kind: pretrain`; `mini-teacher` has trigram input", "mini-teacher"
    )
    training: Optimization = says("Its pretraining for `kind: pretrain`", Optimization(steps=600, learning_rate=0.0015, warmup_steps=50))
    min_lift: Number = says(
        "Least masked-token accuracy above the unigram baseline, or the teacher is refused (a random head has none)",
        0.0,
        unit="share of tokens",
    )


class StudentStart(Section):
    """What a student starts from."""

    from_: MaybePlace = says("transformers directory of a student to go on from; no transfer then", None, alias="from")
    tables_from_teacher: bool = says(
        "Copy embedding tables and MLM head of equal name and shape", True, source="Chinese-MobileBERT run_pretraining.py"
    )


class Transfer(Section):
    """Knowledge transfer, layer by layer or all layers at once."""

    schedule: Literal["progressive", "joint", "none"] = says("A job a layer, one job for all layers, or none", "progressive")
    losses: Literal["corrected", "published", "google_tf2"] = says(
        "Per-layer statistics without padding; or as the TF1 code, or Google's TF2 port, computes them", "corrected"
    )
    earlier_layers: Number = says(
        "Rate factor of the layers below the current one (0: frozen)", 0.0, source="MobileBERT paper: 0.1", ge=0, le=1
    )
    feature_map_factor: Number = says("Weight of feature map transfer", 100.0, source="MobileBERT run_pretraining.py", ge=0)
    attention_factor: Number = says("Weight of attention transfer", 1.0, source="MobileBERT run_pretraining.py", ge=0)
    mean_factor: Number = says("Weight of the mean term", 5000.0, source="MobileBERT run_pretraining.py", ge=0)
    variance_factor: Number = says("Weight of the variance term", 5.0, source="MobileBERT run_pretraining.py", ge=0)
    training: Optimization = says("One stage", Optimization(steps=60, learning_rate=0.002, decay="constant"))


class Pretraining(Section):
    """Pretraining distillation after the transfer."""

    ground_truth_ratio: Number = says(
        "Weight of the true token against the teacher's distribution; 1: plain masked language modelling",
        0.5,
        source="MobileBERT run_pretraining.py",
        ge=0,
        le=1,
    )
    training: Optimization = says("The training", Optimization(steps=200, learning_rate=0.0015, warmup_steps=20))


class TaskFiles(Section):
    """Where a task's files lie."""

    train: Place = says("Training file, or `small_world`", SMALL_WORLD)
    dev: Place = says("Development file, scored at the end, or `small_world`", SMALL_WORLD)


class TaskTraining(Section):
    """How a task is finetuned."""

    epochs: Number = says("Passes over the training file", 3.0, gt=0)
    batch_size: Count = says("Sequences a step", 32, unit="sequences", ge=1)
    learning_rate: Number = says("Peak rate", 6e-05, source="Chinese-MobileBERT README", gt=0)
    warmup_share: Number = says("Share of the steps that warm up", 0.1, source="Chinese-MobileBERT README", ge=0, lt=1)
    sequence_length: Count = says("Tokens a sequence", 128, unit="tokens", ge=16, le=512)
    weight_decay: Number = says("Decoupled, not for biases and norms", 0.01, ge=0)


class TaskSettings(Section):
    """One task: files and finetuning."""

    files: TaskFiles = says("Its files", TaskFiles())
    training: TaskTraining = says("Its finetuning", TaskTraining())


class TaskTable(Section):
    """All tasks that are known; `tasks` says which are run."""

    chnsenticorp: TaskSettings = says("ChnSentiCorp, sentiment, accuracy", TaskSettings(training=TaskTraining(learning_rate=0.001)))
    cmrc2018: TaskSettings = says("CMRC 2018, reading, EM and F1", TaskSettings(training=TaskTraining(learning_rate=0.001)))


class Finetuning(Section):
    """What is finetuned how often."""

    seeds: Count = says("Finetunings a model and task, each with its own seed", 1, ge=1)
    teacher: bool = says("Score the teacher too", True)


class Export(Section):
    """Forms that people load."""

    formats: list[Literal["transformers", "tflite"]] = says("What to write", ["transformers", "tflite"], min_length=1)
    sequence_length: Count = says("Fixed length of the TFLite input", 128, unit="tokens", ge=16, le=512)
    tolerance: Number = says("Largest relative difference between an export and the model", 0.0001, gt=0)


class Publish(Section):
    """Where finished models go."""

    to: MaybePlace = says("A folder or `gs://bucket/prefix`; null publishes nothing", "published")
    version: Name = says("`auto`: named by the digest of what is published; a version is immutable", "auto")
    licence: str = says("Licence of the model, for the card", "apache-2.0")


class Training(Section):
    """How every training runs."""

    accelerator: Literal["auto", "cpu", "gpu", "tpu"] = says("Device that trains; `auto` takes what is found and says so", "auto")
    precision: Literal["float32", "bfloat16"] = says("Compute precision; weights and losses stay float32", "float32")
    steps_per_call: Count = says("Steps between looks of the host", 10, unit="steps", ge=1)


class Settings(Section):
    """All settings of a run, in pipeline order."""

    run: Name = says("Name of the run: results lie under results/RUN", "demo")
    seed: Count = says("The one seed; each stage derives its own from it by name", 20, ge=0, lt=2**31)
    checkpoint_seconds: Number = says("Time between checkpoints of a training (0: after every call)", 600, unit="s", ge=0)
    small_world: SmallWorld = says("The generated world", SmallWorld())
    sources: list[Source] = says("Raw text", [Source.model_validate({"name": SMALL_WORLD, "from": SMALL_WORLD})], min_length=1)
    corpus: Corpus = says("Cleaning and deduplication", Corpus())
    vocabulary: Vocabulary = says("Tokenizer", Vocabulary())
    records: Records = says("Token records", Records())
    masking: Masking = says("Masks", Masking())
    training: Training = says("How every training runs", Training())
    teacher: Teacher = says("Teacher", Teacher())
    students: list[Student] = says("Students to make", ["mini"], min_length=1)
    student: StudentStart = says("What students start from", StudentStart())
    transfer: Transfer = says("Knowledge transfer", Transfer())
    pretraining: Pretraining = says("Pretraining distillation", Pretraining())
    baselines: list[Baseline] = says("Same student and steps without distillation: from random weights, from the teacher's tables", [])
    tasks: list[Task] = says("Tasks to score on", ["chnsenticorp", "cmrc2018"])
    task: TaskTable = says("Settings of each task", TaskTable())
    finetuning: Finetuning = says("Finetuning", Finetuning())
    export: Export = says("Exports", Export())
    publish: Publish = says("Publishing", Publish())


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
