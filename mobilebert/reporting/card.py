"""The model card: what a published model is, how good it is, how to load it, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ExportInfo:
    """One format that is published.

    `sizes` maps a file of the format's folder to bytes; `facts` are the export's counts (`parameters`,
    `layers`, `hidden_size`, `sequence_length`, and `evaluation` if the model came with one); `check` is its
    check.json; `digest` is the export manifest's SHA-256.
    """

    name: str
    sizes: Mapping[str, int]
    facts: Mapping[str, Any]
    check: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Card:
    """What a card says; `sources` maps the sources of the text to their licences, `model` is the manifest
    digest of the model directory, `scores` are rows of scores.tsv.
    """

    name: str
    licence: str
    sources: Mapping[str, str]
    model: str
    exports: list[ExportInfo]
    scores: list[dict[str, str]]


def render(card: Card, version: str) -> str:
    """The card as Markdown with the front matter that model hubs read; equal input gives equal text."""
    sections = [
        _front_matter(card),
        _introduction(card, version),
        _table_of_exports(card),
        _evaluation(card),
        _scores(card),
    ]
    sections += [_loading(export) for export in card.exports] + [_lineage(card), _licences(card)]
    return "\n".join(section for section in sections if section)


def _front_matter(card: Card) -> str:
    tags = "".join(
        f"- {tag}\n"
        for tag in (
            "mobilebert",
            "chinese",
            *(export.name for export in card.exports if export.name != "transformers"),
        )
    )
    return f"---\nlanguage: zh\nlicense: {card.licence}\nlibrary_name: transformers\ntags:\n{tags}---\n"


def _introduction(card: Card, version: str) -> str:
    facts = card.exports[0].facts
    kind = facts.get("architecture", "model")
    return (
        f"# {card.name}\n\n"
        f"A compact Chinese language model ({kind}): {facts['layers']} layers, hidden size "
        f"{facts['hidden_size']}, "
        f"vocabulary of {facts['vocabulary_size']:,}, {facts['parameters']:,} parameters. Made with "
        f"MobileBERT-zh. Version `{version}`.\n"
    )


def _table_of_exports(card: Card) -> str:
    rows = "".join(
        (
            f"| `{export.name}/` | {sum(export.sizes.values()) / 1e6:.1f} | "
            f"{export.check['max_relative_difference']:.1e} | {export.check['judge']} |\n"
        )
        for export in card.exports
    )
    return (
        "## Formats\n\n| folder | MB | largest relative difference from the model | judged by "
        "|\n|---|---|---|---|\n"
        f"{rows}\nTimes are not given here: they belong to a machine, not to a version.\n"
    )


def _evaluation(card: Card) -> str:
    heldout = card.exports[0].facts.get("evaluation", {}).get("heldout")
    if not heldout:
        return ""
    return (
        f"## Masked tokens\n\nOn held-out text {heldout['masked_accuracy']:.1%} of "
        f"{heldout['predictions']:,} masked tokens are found; "
        f"always naming the most frequent token finds {heldout['unigram_accuracy']:.1%}.\n"
    )


def _scores(card: Card) -> str:
    if not card.scores:
        return ""
    rows = "".join(
        f"| {row['task']} | {row['metric']} | {_percent(row['mean'])} | {_percent(row['std'])} | "
        f"{row['seeds']} | "
        f"{_percent(row['majority'])} | {row['examples']} |\n"
        for row in sorted(card.scores, key=lambda row: (row["task"], row["metric"]))
    )
    return (
        "## Scores\n\nAfter finetuning on each task (means over seeds; `majority` always gives the most "
        "frequent answer).\n\n"
        "| task | metric | mean | standard deviation | seeds | majority | examples "
        "|\n|---|---|---|---|---|---|---|\n" + rows
    )


def _percent(value: str) -> str:
    try:
        return f"{float(value):.1%}"
    except ValueError:
        return value or "–"


def _loading(export: ExportInfo) -> str:
    code = {"transformers": _TRANSFORMERS, "tflite": _TFLITE, "tf1": _TF1}[export.name]
    for key in ("architecture", "sequence_length", "output", "pad"):
        code = code.replace(f"<{key}>", str(export.facts.get(key)))
    return code


def _lineage(card: Card) -> str:
    rows = "".join(f"| export `{export.name}` | `{export.digest}` |\n" for export in card.exports)
    return (
        "## Lineage\n\nSHA-256 of the manifests that this version was made from; each manifest names its "
        "inputs' digests in turn, "
        f"down to the raw text.\n\n| artifact | digest |\n|---|---|\n| model | `{card.model}` |\n{rows}"
    )


def _licences(card: Card) -> str:
    rows = "".join(f"| {name} | {licence} |\n" for name, licence in card.sources.items())
    texts = f"\nThe text that it learned from:\n\n| source | licence |\n|---|---|\n{rows}" if rows else ""
    return f"## Licence\n\n{card.licence}\n{texts}"


_TRANSFORMERS = """## Loading with transformers

```python
from transformers import AutoTokenizer, <architecture>

tokenizer = AutoTokenizer.from_pretrained("transformers")
model = <architecture>.from_pretrained("transformers")
```

With a WordPiece vocabulary the model was trained on Google's BERT tokenization; the tokenizers library
differs from it in rare code points only: private-use characters vanish instead of becoming [UNK], and some
marks and signs of other scripts are cut otherwise.
"""

_TF1 = """## Loading with the original TF1 code

`--init_checkpoint=tf1/bert_model.ckpt --bert_config_file=tf1/bert_config.json --vocab_file=tf1/vocab.txt`, as
the scripts of Chinese-MobileBERT take them; the variables have their original names.
"""

_TFLITE = """## Loading with TFLite

`model.tflite` takes `input_ids`, `attention_mask` and `token_type_ids`, int32 of shape (1,
<sequence_length>), padded; `signature.json` says the rest. Give inputs by name: their order in the file is
not the order written here.

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tflite/tokenizer.json")
tokenizer.enable_truncation(<sequence_length>)
tokenizer.enable_padding(length=<sequence_length>, pad_id=<pad>)
text = tokenizer.encode("你好，世界")
given = {"input_ids": text.ids, "attention_mask": text.attention_mask, "token_type_ids": text.type_ids}
run = Interpreter("tflite/model.tflite").get_signature_runner("serving_default")
output = run(**{name: np.array([values], np.int32) for name, values in given.items()})["<output>"]
```
"""
