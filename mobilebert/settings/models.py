"""The model half: teacher, students, transfer, pretraining, and how every training runs."""

from __future__ import annotations

from typing import Literal

from mobilebert.settings.fields import Count, MaybePlace, Name, Number, Section, says


class Optimization(Section):
    """One training: how long and how fast."""

    steps: Count = says("Optimizer steps", 100, unit="steps", ge=1)
    batch_size: Count = says("Sequences a step over all devices", 32, unit="sequences", ge=1)
    learning_rate: Number = says("Peak rate", 0.001, gt=0)
    warmup_steps: Count = says("Linear warm-up", 0, unit="steps", ge=0)
    decay: Literal["linear", "constant"] = says("From the peak to (nearly) zero at the last step, or not", "linear")
    weight_decay: Number = says("Decoupled, not for biases and norms", 0.01, source="BERT optimization.py", ge=0)
    clip_norm: Number = says("Global gradient norm", 1.0, source="BERT optimization.py", gt=0)


class Training(Section):
    """How every training runs."""

    accelerator: Literal["auto", "cpu", "gpu", "tpu"] = says("Device that trains; `auto` takes what is found and says so", "auto")
    precision: Literal["float32", "bfloat16"] = says("Compute precision; weights and losses stay float32", "float32")
    steps_per_call: Count = says("Steps between looks of the host", 10, unit="steps", ge=1)


class Teacher(Section):
    """Where the teacher comes from."""

    name: Name = says("Its name in paths and tables", "small")
    kind: Literal["tf1", "transformers", "pretrain"] = says(
        "An original TF1 checkpoint, a transformers directory, or trained here on the records", "pretrain"
    )
    path: MaybePlace = says(
        "`transformers`: the directory; `tf1`: the folder or the checkpoint's prefix, bert_config.json and vocab.txt beside it", None
    )
    shape: Literal["mini-teacher", "rbt3", "rbtl3", "bert-base", "bert-large"] = says(
        "Shape for `kind: pretrain`; `mini-teacher` has trigram input, `rbt3` and `rbtl3` are three layers of base and large",
        "mini-teacher",
    )
    training: Optimization = says("Its pretraining for `kind: pretrain`", Optimization(steps=600, learning_rate=0.0015, warmup_steps=50))
    min_head_lift: Number = says(
        "Least masked-token accuracy above the unigram baseline, or the teacher is refused (a random head has none)",
        0.0,
        unit="share of tokens",
    )
    retrain_head: bool = says("Train the MLM head of a given teacher anew on the records, its body frozen", False)
    head_training: Optimization = says("That training", Optimization(steps=2000, learning_rate=0.0005, warmup_steps=100))


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
