"""The model half: teacher, students, transfer, pretraining, and how every training runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mobilebert.settings.fields import Count, MaybePathOrUrl, Name, Number, Section, absent, setting

BY_RECIPE = "; null: as the recipe has it"
Recipe = Literal["ours", "chinese", "google"]
Schedule = Literal["progressive", "joint", "auxiliary", "none"]
TeacherShape = Literal["mini-teacher", "rbt3", "rbtl3", "bert-base", "bert-large"]


def _schedule(value: Any) -> Any:
    # YAML reads None as this text, and `absent` would take it for null, which asks for a transfer.
    if value == "None":
        raise ValueError("write none for no transfer, or null for what the recipe has")
    return absent(value)


class Phase(Section):
    """The next part of a training's steps, with shorter sequences."""

    share: Number = setting("How many of the steps", unit="share of the steps", gt=0, lt=1)
    sequence_length: Count = setting(
        "Of pieces cut out of the records, less than theirs", unit="tokens", ge=8
    )


class Optimization(Section):
    """One training: how long and how fast."""

    steps: Count = setting("Optimizer steps", 100, unit="steps", ge=1)
    batch_size: Count = setting("Sequences a step over all devices", 32, unit="sequences", ge=1)
    learning_rate: Number = setting("Peak rate", 0.001, gt=0)
    warmup_steps: Count = setting("Linear warm-up", 0, unit="steps", ge=0)
    decay: Literal["linear", "constant"] = setting(
        "From the peak to `end_rate` at the last step, or not", "linear"
    )
    end_rate: Annotated[Annotated[Number, Field(ge=0, le=1)] | None, BeforeValidator(absent)] = setting(
        f"Where a linear decay ends{BY_RECIPE}", None, unit="share of the peak"
    )
    optimizer: Annotated[Literal["adamw", "lamb"] | None, BeforeValidator(absent)] = setting(
        f"AdamW or LAMB as BERT and MobileBERT have them, without bias correction{BY_RECIPE}", None
    )
    weight_decay: Number = setting(
        "Decoupled, not for biases and norms", 0.01, source="BERT optimization.py", ge=0
    )
    clip_norm: Number = setting(
        "Largest norm of all gradients together", 1.0, source="BERT optimization.py", gt=0
    )
    clip: Annotated[Literal["global", "per_replica"] | None, BeforeValidator(absent)] = setting(
        f"Clip the gradient's mean over all devices, or each device's own before the mean{BY_RECIPE}", None
    )
    phases: list[Phase] = setting(
        (
            "Shorter sequences for the first steps, say {share: 0.9, sequence_length: 128}; the steps that "
            "are "
            "left see whole records"
        ),
        [],
    )


class Training(Section):
    """How every training runs."""

    accelerator: Literal["auto", "cpu", "gpu", "tpu"] = setting(
        "Device that trains; `auto` takes what is found and says so", "auto"
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "Compute precision; weights and losses stay float32", "float32"
    )
    steps_per_call: Count = setting("Steps between looks of the host", 10, unit="steps", ge=1)
    device_batch: Annotated[Annotated[Count, Field(ge=1)] | None, BeforeValidator(absent)] = setting(
        "Most sequences that a device computes at once: a larger share of a batch is computed in rounds "
        "whose gradients are added up, "
        "the same step but for rounding; null: the whole share",
        None,
        unit="sequences",
    )
    evaluate_every: Count = setting(
        (
            "Between measures on held-out data (tasks: their dev file, after every epoch at the latest that "
            "has a step); 0: only at the end"
        ),
        0,
        unit="steps",
        ge=0,
    )
    evaluate_sequences: Count = setting(
        "Held-out sequences, or dev examples, of such a measure, at most", 1024, unit="sequences", ge=1
    )
    keep: Literal["last", "best"] = setting(
        "Which weights the artifact holds: after the last step, or of the best measure", "last"
    )
    early_stop: Annotated[Annotated[Count, Field(ge=1)] | None, BeforeValidator(absent)] = setting(
        "Measures in a row, none better than the best, after which a training stops; null: never",
        None,
        unit="measures",
    )


class Teacher(Section):
    """Where the teacher comes from."""

    name: Name = setting("Its name in paths and tables", "small")
    kind: Literal["tf1", "transformers", "pretrain"] = setting(
        "An original TF1 checkpoint, a transformers directory, or trained here on the records", "pretrain"
    )
    path: MaybePathOrUrl = setting(
        (
            "`transformers`: the directory; `tf1`: the folder or the checkpoint's prefix, bert_config.json "
            "and "
            "vocab.txt beside it"
        ),
        None,
    )
    shape: TeacherShape | Name = setting(
        (
            "For `kind: pretrain`, or one of `shapes`; `mini-teacher` has trigram input, `rbt3` and `rbtl3` "
            "are three layers of base and large"
        ),
        "mini-teacher",
    )
    training: Optimization = setting(
        "Its pretraining for `kind: pretrain`", Optimization(steps=600, learning_rate=0.0015, warmup_steps=50)
    )
    min_head_lift: Number = setting(
        (
            "Least masked-token accuracy above the unigram baseline, or the teacher is refused (a random "
            "head "
            "has none)"
        ),
        0.0,
        unit="share of tokens",
    )
    retrain_head: bool = setting(
        "Train the MLM head of a given teacher anew on the records, its body frozen", False
    )
    head_training: Optimization = setting(
        "That training", Optimization(steps=2000, learning_rate=0.0005, warmup_steps=100)
    )


class StudentStart(Section):
    """What a student starts from."""

    from_: MaybePathOrUrl = setting(
        (
            "Student to go on from: a transformers directory, or an original TF1 checkpoint (folder or "
            "prefix); no transfer then"
        ),
        None,
        alias="from",
    )
    tables_from_teacher: bool = setting(
        "Copy embedding tables and MLM head of equal name and shape",
        True,
        source="Chinese-MobileBERT run_pretraining.py",
    )


class Match(Section):
    """One thing that a layer of the student learns from a layer of the teacher."""

    teacher_layer: Literal["all"] | Annotated[Count, Field(ge=0)] = setting(
        "Layer from 1 on, 0: the embeddings' output; `all`: all outputs at once, for `mean` and `variance`"
    )
    student_layer: Count = setting("Layer from 1 on", ge=1)
    feature: Literal["hidden", "attention", "value_relation"] = setting(
        "The layer's output, its attention scores, or the relations of its values to each other (MiniLM)"
    )
    loss: Literal["feature_map", "mean", "variance", "mse", "cross_entropy"] = setting(
        "`cross_entropy` for attention and value_relation, the others for hidden"
    )
    weight: Number = setting("Factor of the term", 1.0, gt=0)
    projection: Literal["none", "linear"] = setting(
        "A learned projection of the student's output to the teacher's width", "none"
    )

    @model_validator(mode="after")
    def _fitting(self) -> Match:
        if (self.feature == "hidden") == (self.loss == "cross_entropy"):
            expected = "feature_map, mean, variance or mse" if self.feature == "hidden" else "cross_entropy"
            raise ValueError(f"loss {self.loss} cannot compare {self.feature}, take {expected}")
        if self.projection == "linear" and self.feature != "hidden":
            raise ValueError(
                f"a projection is for feature hidden, not for {self.feature}; set projection to none"
            )
        if self.teacher_layer == "all" and self.loss not in ("mean", "variance"):
            raise ValueError(
                f"teacher_layer all is for the losses mean and variance, not for {self.loss}; name one layer"
            )
        if self.teacher_layer == 0 and self.feature != "hidden":
            raise ValueError(
                f"teacher_layer 0 is the embeddings' output and has no {self.feature}; take a layer from 1 on"
            )
        return self


class Transfer(Section):
    """Knowledge transfer, layer by layer, all layers at once, or beside the pretraining."""

    schedule: Annotated[Schedule | None, BeforeValidator(_schedule)] = setting(
        (
            f"A job a layer, one job for all layers, additional terms of the pretraining's loss, or "
            f"none{BY_RECIPE}"
        ),
        None,
    )
    losses: Literal["corrected", "published", "google_tf2"] = setting(
        "Per-layer statistics without padding; or as the TF1 code, or Google's TF2 port, computes them",
        "corrected",
    )
    earlier_layers: Annotated[Annotated[Number, Field(ge=0, le=1)] | None, BeforeValidator(absent)] = setting(
        f"Rate factor of the layers below the current one, 0: frozen{BY_RECIPE}",
        None,
        source="MobileBERT paper: 0.1",
    )
    feature_map_factor: Number = setting(
        "Weight of feature map transfer", 100.0, source="MobileBERT run_pretraining.py", ge=0
    )
    attention_factor: Number = setting(
        "Weight of attention transfer", 1.0, source="MobileBERT run_pretraining.py", ge=0
    )
    mean_factor: Number = setting(
        "Weight of the mean term", 5000.0, source="MobileBERT run_pretraining.py", ge=0
    )
    variance_factor: Number = setting(
        "Weight of the variance term", 5.0, source="MobileBERT run_pretraining.py", ge=0
    )
    layer_map: Literal["same", "uniform", "last"] = setting(
        (
            "Which teacher layer a student layer learns from: its own number, spread evenly over the "
            "teacher, "
            "or the teacher's last ones"
        ),
        "same",
    )
    projection: Literal["none", "linear"] = setting(
        "Compare feature maps through a learned projection, for a student of another width than its teacher",
        "none",
    )
    matches: list[Match] = setting(
        "A list of what learns from what, in place of the four factors, layer_map and projection", []
    )
    training: Optimization = setting(
        "One stage", Optimization(steps=60, learning_rate=0.002, decay="constant")
    )


class Pretraining(Section):
    """Pretraining distillation after the transfer."""

    ground_truth_ratio: Number = setting(
        "Weight of the true token against the teacher's distribution; 1: plain masked language modelling",
        0.5,
        source="MobileBERT run_pretraining.py",
        ge=0,
        le=1,
    )
    next_sentence: bool = setting(
        "Add Google's next sentence prediction; the records must hold its labels", False
    )
    training: Optimization = setting(
        "The training", Optimization(steps=200, learning_rate=0.0015, warmup_steps=20)
    )
