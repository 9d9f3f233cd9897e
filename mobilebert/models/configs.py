"""Shapes of models: every key of the original configurations, shapes by name, configurations of transformers
both ways.

Sources: Google's MobileBERT and Chinese-MobileBERT `modeling.py` and `config/*.json` (TF1), transformers 5.23
`configuration_mobilebert.py` and `configuration_bert.py`. Fields carry the names of those files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mobilebert.errors import UserError
from mobilebert.models import config_checks
from mobilebert.models.config_checks import GELU_ERF, GELU_TANH
from mobilebert.models.config_defaults import defaults, sizes

ORIGINAL_EPSILON = 1e-12  # tf.contrib.layers.layer_norm, in all TF1 code


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What BERT and MobileBERT have in common.

    Sizes are numbers of units, `*_prob` and `*_dropout` shares in 0..1.
    """

    model_type: ClassVar[str]
    class_prefix: ClassVar[str]

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    classifier_dropout: float = (
        0.1  # transformers falls back to hidden_dropout_prob, which is 0 in MobileBERT
    )

    def __post_init__(self) -> None:
        faults = config_checks.faults(vars(self), self.types())
        # What goes by several sizes waits until each of them is right.
        joint = [] if any(self.types()[name] in ("int", "bool") for name in faults) else self._misfits()
        if lines := [*faults.values(), *joint]:
            raise UserError("; ".join(lines))

    @classmethod
    def types(cls) -> dict[str, str]:
        """The fields and their types: int, float, bool or str."""
        return {field.name: str(field.type) for field in dataclasses.fields(cls)}

    def _misfits(self) -> Iterator[str]:
        """A line for each two values that do not go together."""
        if self.inner_size % self.num_attention_heads:
            yield (
                f"num_attention_heads: {self.num_attention_heads} does not divide the width of attention, "
                f"{self.inner_size}"
            )

    @property
    def inner_size(self) -> int:
        """Width inside a layer: of attention and of the feed-forward blocks' ends."""
        return self.hidden_size

    @property
    def embedding_width(self) -> int:
        """Width of the word table."""
        return self.hidden_size

    @property
    def has_pooler(self) -> bool:
        """Whether transformers' classifier sits on a tanh pooler rather than on the raw first token."""
        return True

    @property
    def head_act(self) -> str:
        """The activation in the MLM head."""
        return self.hidden_act

    def architecture(self, head: str = "MaskedLM") -> str:
        """The transformers class: `MobileBertForMaskedLM`, ..."""
        return f"{self.class_prefix}For{head}"

    def to_config(self) -> dict[str, Any]:
        """The content of transformers' config.json, every key written out, also where its default is the
        same.
        """
        named = {"model_type": self.model_type, "architectures": [self.architecture()]}
        return named | dataclasses.asdict(self) | {"tie_word_embeddings": True, "dtype": "float32"}


@dataclass(frozen=True, kw_only=True)
class BertConfig(ModelConfig):
    """Plain BERT: also BERT-wwm, RoBERTa-wwm-ext, MacBERT, PERT, LERT."""

    model_type: ClassVar[str] = "bert"
    class_prefix: ClassVar[str] = "Bert"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"


@dataclass(frozen=True, kw_only=True)
class ElectraConfig(ModelConfig):
    """ELECTRA's discriminator: a BERT whose tables may be narrower than its hidden states.

    It was trained without an MLM head; the one it gets here has the form of transformers' ElectraForMaskedLM.
    """

    model_type: ClassVar[str] = "electra"
    class_prefix: ClassVar[str] = "Electra"

    embedding_size: int
    hidden_act: str = "gelu"

    @property
    def embedding_width(self) -> int:
        return self.embedding_size

    @property
    def has_pooler(self) -> bool:
        return False  # its classifier has a layer of its own

    @property
    def head_act(self) -> str:
        return "gelu"  # ElectraGeneratorPredictions, whatever hidden_act says

    @property
    def projects_embeddings(self) -> bool:
        """Whether `embeddings_project` leads from the tables' width to the hidden states'."""
        return self.embedding_size != self.hidden_size


@dataclass(frozen=True, kw_only=True)
class MobileBertConfig(ModelConfig):
    """MobileBERT; without bottleneck and with layer norm it is a BERT with trigram input (a teacher trained
    here).

    `use_bottleneck_attention` wins over `key_query_shared_bottleneck`, as in the original code; both set is
    held as the former alone, so that no unused tensors are made.
    """

    model_type: ClassVar[str] = "mobilebert"
    class_prefix: ClassVar[str] = "MobileBert"

    hidden_act: str = "relu"
    hidden_dropout_prob: float = 0.0
    embedding_size: int
    trigram_input: bool = True
    use_bottleneck: bool = True
    intra_bottleneck_size: int
    use_bottleneck_attention: bool = False
    key_query_shared_bottleneck: bool = False
    num_feedforward_networks: int = 1
    normalization_type: str = "no_norm"
    classifier_activation: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_bottleneck_attention and self.key_query_shared_bottleneck:
            object.__setattr__(self, "key_query_shared_bottleneck", False)

    def _misfits(self) -> Iterator[str]:
        yield from super()._misfits()
        if self.embedding_size > self.hidden_size:
            yield f"embedding_size: {self.embedding_size}, expected 1 to hidden_size ({self.hidden_size})"

    @property
    def inner_size(self) -> int:
        return self.intra_bottleneck_size if self.use_bottleneck else self.hidden_size

    @property
    def query_width(self) -> int:
        """What query and key read: a bottleneck's output or the hidden states."""
        return (
            self.inner_size
            if self.use_bottleneck_attention or self.key_query_shared_bottleneck
            else self.hidden_size
        )

    @property
    def value_width(self) -> int:
        """What value reads: the bottleneck's output (f2) or the hidden states."""
        return self.inner_size if self.use_bottleneck_attention else self.hidden_size

    @property
    def embedding_width(self) -> int:
        return self.embedding_size

    @property
    def has_pooler(self) -> bool:
        return self.classifier_activation

    @property
    def transforms_embeddings(self) -> bool:
        """Whether the word vectors go through `embedding_transformation`."""
        return self.trigram_input or self.embedding_size != self.hidden_size


_KINDS: tuple[type[ModelConfig], ...] = (BertConfig, ElectraConfig, MobileBertConfig)


def named(name: str, vocabulary_size: int) -> ModelConfig:
    """The shape of that name for a vocabulary of that many entries.

    Raises:
        UserError: the name is unknown.
    """
    table = _named()
    if name not in table:
        raise UserError(f"shape '{name}' is unknown; known: {', '.join(table)}")
    kind, keys = table[name]
    return kind(vocab_size=vocabulary_size, **keys)


def names() -> list[str]:
    """All names that `named` knows."""
    return list(_named())


def _named() -> dict[str, tuple[type[ModelConfig], dict[str, Any]]]:
    f2 = {"num_feedforward_networks": 2, "use_bottleneck_attention": True}
    f4 = {"num_feedforward_networks": 4, "key_query_shared_bottleneck": True}
    # Chinese-MobileBERT config/student_*.json: embedding_size = hidden_size, since tables and MLM head start
    # from the teacher's.
    base = sizes(768, 12, 12, intermediate=512) | {
        "embedding_size": 768,
        "intra_bottleneck_size": 144,
    }
    large = sizes(1024, 24, 16, intermediate=512) | {
        "embedding_size": 1024,
        "intra_bottleneck_size": 128,
    }
    # Google's config/uncased_L-24_H-128_B-512_A-4_F-4_OPT.json and its neighbours.
    english = sizes(512, 24, 4, intermediate=512) | {
        "embedding_size": 128,
        "intra_bottleneck_size": 128,
    }
    mini = sizes(128, 4, 4, intermediate=128) | {
        "embedding_size": 128,
        "intra_bottleneck_size": 32,
    }
    # Trained for less than one pass over its text, where dropout would only slow it.
    undropped = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain = {"use_bottleneck": False, "normalization_type": "layer_norm", "num_feedforward_networks": 1}
    mini_teacher = (
        sizes(128, 4, 4, intermediate=512) | {"embedding_size": 128, "intra_bottleneck_size": 128} | plain
    )
    return {
        "base-f2": (MobileBertConfig, base | f2),
        "base-f4": (MobileBertConfig, base | f4),
        "large-f2": (MobileBertConfig, large | f2),
        "large-f4": (MobileBertConfig, large | f4),
        "opt": (MobileBertConfig, english | f4),
        "opt-qat": (MobileBertConfig, english | f4 | {"hidden_act": "relu6"}),
        "tiny": (MobileBertConfig, english | f2),
        "mini": (
            MobileBertConfig,
            mini | {"num_feedforward_networks": 2, "key_query_shared_bottleneck": True},
        ),
        "mini-teacher": (MobileBertConfig, mini_teacher | {"hidden_act": "gelu"} | undropped),
        # HFL's small ones: the first three layers of RoBERTa-wwm-ext and of its large form, pretrained
        # further.
        "rbt3": (BertConfig, sizes(768, 3, 12, intermediate=3072)),
        "rbtl3": (BertConfig, sizes(1024, 3, 16, intermediate=4096)),
        "bert-base": (BertConfig, sizes(768, 12, 12, intermediate=3072)),
        "bert-large": (BertConfig, sizes(1024, 24, 16, intermediate=4096)),
    }


def from_config(config: Mapping[str, Any], where: str = "config.json") -> ModelConfig:
    """The shape that a configuration describes: transformers' config.json, or an original TF1 one.

    The two worlds differ in their defaults and in what "gelu" means (erf in transformers, tanh in TF1); an
    original file names neither `model_type` nor `architectures`. Keys that say nothing about the shape are
    ignored.

    Args:
        config: the parsed JSON.
        where: the file's name for messages.

    Raises:
        UserError: another kind of model, a missing key, or a value that does not fit.
    """
    kind, original = _kind(config, where)
    types = kind.types()
    values = {key: value for key, value in config.items() if key in types and value is not None}
    lines = list(config_checks.misspelt(config, types))
    if (position := config.get("position_embedding_type", "absolute")) != "absolute":
        lines.append(f"position_embedding_type: '{position}', only absolute positions are known here")
    # ELECTRA's own code has the erf form.
    if original and kind is not ElectraConfig and values.get("hidden_act") == "gelu":
        values["hidden_act"] = "gelu_new"
    if original and "vocab_size" not in values:
        lines.append("vocab_size: missing; is this the configuration of a BERT?")
        values["vocab_size"] = 1
    right = {key: value for key, value in values.items() if config_checks.fits(value, types[key])}
    try:
        read = kind(**(defaults(kind.model_type, original, right) | values))
    except UserError as error:
        lines.append(str(error))
    if lines:
        raise UserError(f"{where}: {'; '.join(lines)}")
    return read


def to_original(config: ModelConfig) -> dict[str, Any]:
    """The content of a TF1 configuration file (`bert_config.json`, `student_base_f2.json`) that means this
    shape.

    Raises:
        UserError: TF1's code computes something else, whatever its file says.
    """
    if isinstance(config, ElectraConfig):
        raise UserError(
            "an ELECTRA with MLM head: no TF1 code has such a model; it cannot be written in that form"
        )
    if config.hidden_act in GELU_ERF:
        raise UserError(
            f"hidden_act '{config.hidden_act}' (erf): TF1's gelu is the tanh form, which transformers "
            f"calls gelu_new, so that code "
            "would compute something else; if these weights came from TF1, their config.json should say "
            "gelu_new"
        )
    if config.layer_norm_eps != ORIGINAL_EPSILON:
        raise UserError(
            f"layer_norm_eps {config.layer_norm_eps}: the TF1 code always takes {ORIGINAL_EPSILON}"
        )
    ours = ("layer_norm_eps", "pad_token_id", "classifier_dropout")  # constants of that code
    keys = {key: value for key, value in dataclasses.asdict(config).items() if key not in ours}
    return keys | ({"hidden_act": "gelu"} if config.hidden_act in GELU_TANH else {})


def _kind(config: Mapping[str, Any], where: str) -> tuple[type[ModelConfig], bool]:
    """The shape's class, and whether the file is an original TF1 one."""
    named_type = config.get("model_type")
    classes = config.get("architectures") or []
    if named_type is None and classes:
        first = str(classes[0])
        named_type = next(
            (kind.model_type for kind in _KINDS if first.startswith(f"{kind.class_prefix}For")), first
        )
    if named_type is None:
        mobile = any(key in config for key in ("use_bottleneck", "intra_bottleneck_size", "trigram_input"))
        return (
            MobileBertConfig if mobile else ElectraConfig if "embedding_size" in config else BertConfig
        ), True
    for kind in _KINDS:
        if kind.model_type == named_type:
            return kind, False
    raise UserError(
        f"{where}: a model of type '{named_type}', expected {' or '.join(kind.model_type for kind in _KINDS)}"
    )
