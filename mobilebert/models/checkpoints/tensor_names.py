"""Names of tensors as trainings write them, and as transformers has them today."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from mobilebert.errors import UserError

# What libraries put around a module, at any depth: torch.compile, DataParallel and DistributedDataParallel,
# FSDP, activation checkpointing, Lightning's Fabric.
WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
ADAPTERS = re.compile(r"\.(?:lora_\w+|base_layer|modules_to_save)\.")  # peft's names
ANCHOR = "embeddings.position_embeddings.weight"  # in every model, and tied to nothing
# What transformers calls the modules of relatives; of `model_type` itself, `model.bert.bert` may stand there.
OTHERS = (
    *("albert", "deberta", "distilbert", "electra", "ernie", "megatron_bert", "mobilebert"),
    *("nezha", "roberta", "roformer", "xlm_roberta"),
)
BARE = ("embeddings.", "embeddings_project.", "encoder.", "pooler.")  # of a model without its prefix


def modern(names: Iterable[str], model_type: str, where: Path) -> dict[str, str]:
    """Today's name by stored name.

    Wrappers are taken off wherever they stand, and what the model's own module was called in a larger one
    (`model.bert.embeddings...`, `student.embeddings...`); bare models get their prefix (`bert.`), TF1's
    `gamma` and `beta` become `weight` and `bias`, as transformers does it.

    Args:
        names: of all tensors of a checkpoint.
        model_type: `bert`, the prefix of transformers' names.
        where: the folder, for the log and messages.

    Raises:
        UserError: several models, one of another kind, or an adapter beside it.
    """
    made = {name: WRAPPERS.sub("", name) for name in names}
    if adapters := [name for name in made if ADAPTERS.search(name)]:
        raise UserError(
            f"{where}: {adapters[0]} belongs to an adapter that is not merged ({len(adapters)} such "
            f"tensors); merge it (peft's merge_and_unload) and save the model again"
        )
    anchor = re.compile(rf"((?:[^.]+\.)*?)(?:{model_type}\.)?{re.escape(ANCHOR)}")
    outer = {match[1] for name in made.values() if (match := anchor.fullmatch(name))}
    if len(outer) > 1 and "" not in outer:
        raise UserError(
            f"{where}: holds {len(outer)} models, under {', '.join(sorted(outer))}; keep the tensors of "
            f"one of them"
        )
    prefix = "" if "" in outer else next(iter(outer), "")
    if prefix.removesuffix(".").rpartition(".")[2] in OTHERS:
        raise UserError(
            f"{where}: its tensors are named {prefix}embeddings..., as those of another kind of model, but "
            f"its configuration says '{model_type}'"
        )
    made = {name: inner.removeprefix(prefix) for name, inner in made.items()}
    if wrapped := [name for name, inner in made.items() if name != inner]:
        shown = f"{wrapped[0]} is read as {made[wrapped[0]]}"
        logging.info("%s: %d tensors stand in a wrapper: %s", where, len(wrapped), shown)
    bare = not any(inner.startswith(f"{model_type}.") for inner in made.values())
    for name, inner in made.items():
        inner = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", inner)
        inner = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", inner)
        made[name] = f"{model_type}.{inner}" if bare and inner.startswith(BARE) else inner
    return made
