"""A model: named variables and the functions over them, the same for BERT and MobileBERT.

Plain `tf.Module`, no Keras: names are transformers' own, a stage computes only the layers that it needs,
logits exist only at the positions asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mobilebert import settings
from mobilebert.models import bert, mobilebert, parameters
from mobilebert.models.configs import ElectraConfig, MobileBertConfig, ModelConfig
from mobilebert.models.layers import Scope, activation, leading, mask_bias, split_heads, wide
from mobilebert.models.parameters import Kind, Tensor


class Encoded(NamedTuple):
    """What the encoder computed: of L layers, or of the first k.

    `hidden[0]` is the embedding output and `hidden[k]` the output of layer k, each (B, S, H) in the compute
    type; `scores[k - 1]` are the scaled and masked attention scores of layer k, (B, A, S, S), at least
    float32; `sequence` is the last of `hidden`.
    """

    hidden: list[tf.Tensor]
    scores: list[tf.Tensor]
    sequence: tf.Tensor


class TracedOnce:
    """A function of tensors that is traced once for all its calls with equal shapes, forward and backward.

    The calls stay calls in the program, so that TensorFlow rewrites and plans the function once too, unless
    they are to be `inlined`. Not a `tf.Function` itself, since a module shows those in its SavedModel.
    """

    def __init__(self, function: Callable[..., Any], *, inlined: bool = False) -> None:
        self._function = tf.function(
            function, autograph=False, experimental_attributes={"_noinline": not inlined}
        )

    def __call__(self, *arguments: Any) -> Any:
        """Call it, from Python or while another function is traced."""
        # The graph's optimizer does not know the shapes of what a function gives, and would warn of that at
        # every softmax over it.
        return tf.nest.map_structure(
            lambda output: tf.ensure_shape(output, output.shape), self._function(*arguments)
        )


class Model(tf.Module):
    """A BERT or MobileBERT with its MLM head.

    Attributes:
        shape: its sizes.
        variables_by_name: every variable by its transformers name; kernels are held [in, out].
        compute_dtype: type of the products; norms, softmax and scores are float32 where it is shorter.
        carried: arrays as files store them that nothing here computes with, kept for the way back: pooler,
            head of next sentence prediction, and what transformers' class insists on.
        fresh_head: whether the MLM head was drawn at random because the source holds none.
        shares_layers: whether the layers are calls of one function; else each is written out (for converters
            of graphs).
        inlines_layers: whether XLA compiles the program, as for a TPU: there the calls are inlined, since in
            a loop (gradients in rounds) the constants that a call's gradient gets from the call would not be
            known while compiling.
    """

    def __init__(
        self,
        config: ModelConfig,
        values: Mapping[str, np.ndarray | tf.Tensor],
        *,
        compute_dtype: str,
        variable_dtype: str,
    ) -> None:
        super().__init__(name=config.model_type)
        self.config = config
        self.compute_dtype = tf.dtypes.as_dtype(compute_dtype)
        self.variables_by_name: dict[str, tf.Variable] = {
            name: tf.Variable(tf.cast(values[name], variable_dtype), name=name)
            for name in parameters.specification(config)
        }
        self.carried: dict[str, np.ndarray] = {}
        self.fresh_head = False
        self._network: Any = mobilebert if isinstance(config, MobileBertConfig) else bert
        self.shares_layers = True
        self.inlines_layers = isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
        self._layer, self._inlined_layer = (
            TracedOnce(self._computed_layer),
            TracedOnce(self._computed_layer, inlined=True),
        )

    @property
    def parameters(self) -> int:
        """Number of parameters, backbone and MLM head, the tied table once."""
        return parameters.count(self.config)

    @property
    def embedding_names(self) -> list[str]:
        """Names of the tables, the trigram transformation and the embedding norm."""
        return list(parameters.embeddings(self.config))

    @property
    def head_names(self) -> list[str]:
        """Names of the MLM head (the tied word table belongs to the embeddings)."""
        return list(parameters.head(self.config))

    def layer_variables(self, layer: int) -> dict[str, tf.Variable]:
        """Variables of one layer (1-based) by name."""
        if not 1 <= layer <= self.config.num_hidden_layers:
            raise ValueError(f"layer {layer} of {self.config.num_hidden_layers}")
        return {name: self.variables_by_name[name] for name in parameters.layer(self.config, layer)}

    # No control flow depends on a tensor: this halves the time of tracing.
    @tf.autograph.experimental.do_not_convert
    def encode(
        self,
        ids: tf.Tensor,
        segments: tf.Tensor,
        mask: tf.Tensor,
        *,
        layers: int | None = None,
        seed: tf.Tensor | None = None,
    ) -> Encoded:
        """Run the encoder.

        Args:
            ids: token ids (B, S), integers below the vocabulary's size.
            segments: segment ids (B, S), 0 or 1.
            mask: 1 for tokens, 0 for padding (B, S).
            layers: compute only the first so many (0: the embedding output alone); None computes all.
            seed: (2,) int32; turns dropout on, the same seed gives the same masks.
        """
        count = self.config.num_hidden_layers if layers is None else layers
        if not 0 <= count <= self.config.num_hidden_layers:
            raise ValueError(f"layers={layers} of {self.config.num_hidden_layers}")
        scope = Scope(self.variables_by_name, self.config.model_type, self.compute_dtype, seed)
        x = self._network.embed(scope.within("embeddings"), self.config, ids, segments)
        bias = mask_bias(mask, wide(self.compute_dtype))
        hidden, scores = [x], []
        shared = self._inlined_layer if self.inlines_layers else self._layer
        compute = shared if self.shares_layers else self._computed_layer
        for layer in range(1, count + 1):
            weights = {name: variable.value() for name, variable in self._within_layer(layer).items()}
            site = None if seed is None else tf.constant(3 * layer - 2)
            x, score = compute(weights, x, bias, seed, site)
            hidden.append(x)
            scores.append(score)
        return Encoded(hidden, scores, x)

    def _within_layer(self, layer: int) -> dict[str, tf.Variable]:
        """Variables of one layer (1-based) by their names within it, so that those of all layers are
        called the same.
        """
        start = len(f"{self.config.model_type}.encoder.layer.{layer - 1}.")
        return {name[start:]: variable for name, variable in self.layer_variables(layer).items()}

    @tf.autograph.experimental.do_not_convert
    def _computed_layer(
        self,
        weights: Mapping[str, tf.Tensor],
        x: tf.Tensor,
        bias: tf.Tensor,
        seed: tf.Tensor | None,
        site: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Any layer, given its weights: output (B, S, H) and scores (B, A, S, S)."""
        scope = Scope(weights, "", self.compute_dtype, seed)
        rows = tf.reshape(
            x, [-1, x.shape[-1]]
        )  # one row a token: what follows a product can be fused with it
        y, scores = self._network.layer(
            scope, self.config, rows, tf.stop_gradient(bias), site=0 if site is None else site
        )
        return tf.reshape(y, [*leading(x), y.shape[-1]]), scores

    @tf.autograph.experimental.do_not_convert
    def values(self, layer: int, x: tf.Tensor) -> tf.Tensor:
        """The values of a layer's attention heads (B, A, S, D), from the input of layer `layer` (1-based),
        `hidden[layer - 1]`.
        """
        scope = Scope(self.variables_by_name, self.config.model_type, self.compute_dtype).within(
            f"encoder.layer.{layer - 1}"
        )
        inputs = (
            mobilebert.value_input(scope, self.config, x) if isinstance(self.config, MobileBertConfig) else x
        )
        return split_heads(
            scope.within("attention.self").dense("value", inputs), self.config.num_attention_heads
        )

    @tf.autograph.experimental.do_not_convert
    def masked_lm_logits(self, sequence: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Logits over the vocabulary at the given positions only.

        Args:
            sequence: (B, S, H), `Encoded.sequence`.
            positions: (B, P) int32, positions within each sequence.

        Returns:
            (B*P, V), float32 (float64 when the model computes in it).
        """
        sizes = leading(sequence)
        starts = tf.range(sizes[0], dtype=positions.dtype)[:, tf.newaxis] * tf.cast(sizes[1], positions.dtype)
        rows = tf.reshape(positions + starts, [-1])
        return self._logits(tf.gather(tf.reshape(sequence, [-1, self.config.hidden_size]), rows))

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        """(N, H) -> (N, V): dense, activation, a real layer norm, then the tied table."""
        scope = Scope(self.variables_by_name, "cls.predictions", self.compute_dtype)
        inner, outer = scope.within("transform"), scope
        if isinstance(self.config, ElectraConfig):
            inner, outer = (
                replace(scope, prefix="generator_predictions"),
                replace(scope, prefix="generator_lm_head"),
            )
        x = activation(self.config.head_act, inner.dense("dense", tf.cast(x, self.compute_dtype)))
        x = inner.layer_norm("LayerNorm", x, self.config.layer_norm_eps)
        table = tf.cast(
            self.variables_by_name[f"{self.config.model_type}.embeddings.word_embeddings.weight"],
            self.compute_dtype,
        )
        width = self.config.embedding_width
        logits = tf.matmul(x[:, :width], table, transpose_b=True)
        if width != x.shape[1]:
            logits += tf.matmul(x[:, width:], tf.cast(scope.variable("dense.weight"), self.compute_dtype))
        return tf.cast(logits, scope.wide) + tf.cast(outer.variable("bias"), scope.wide)


def build(
    config: ModelConfig, seed: int, *, compute_dtype: str = "float32", variable_dtype: str = "float32"
) -> Model:
    """A fresh model: truncated normal of `initializer_range` for kernels and tables, norms 1 and 0, biases 0.

    Each variable's values depend on (seed, its name) alone, so two models share what they have in common, and
    a float64 model holds the values of the float32 one.
    """
    return Model(
        config,
        {
            name: initial(name, tensor, seed, config.initializer_range)
            for name, tensor in parameters.specification(config).items()
        },
        compute_dtype=compute_dtype,
        variable_dtype=variable_dtype,
    )


def initial(name: str, tensor: Tensor, seed: int, deviation: float) -> tf.Tensor:
    """First values of one tensor, float32.

    The truncated normal is cut at two deviations, as in the TF1 code.
    """
    constant: dict[Kind, Callable[..., tf.Tensor]] = {Kind.SCALE: tf.ones, Kind.BIAS: tf.zeros}
    if tensor.kind in constant:
        return constant[tensor.kind](tensor.shape, tf.float32)
    pair = [settings.derive_seed(seed, name, half) for half in range(2)]
    return tf.random.stateless_truncated_normal(tensor.shape, pair, stddev=deviation, alg="philox")
