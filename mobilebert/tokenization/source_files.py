"""What the files of somebody else's WordPiece tokenizer say: its entries, casing and accents; and what is not
reproduced here, refused by name.

The keys are those of transformers' `tokenizer_config.json` (BertTokenizer) and of the tokenizers library's
`tokenizer.json` (BertNormalizer). Where both have one, tokenizer_config.json counts, unless it names a class
that reads tokenizer.json alone: as transformers has it.
"""

from __future__ import annotations

import json
import logging
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mobilebert.errors import UserError
from mobilebert.tokenization import google
from mobilebert.tokenization.huggingface import NAMES
from mobilebert.tokenization.tokenizer import SPECIAL

CONFIG, DESCRIBED, ADDED = "tokenizer_config.json", "tokenizer.json", "added_tokens.json"
# Keys of tokenizer_config.json and what BertNormalizer calls the same.
SHARED = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")  # classes that read tokenizer.json alone
SHOWN = 5  # entries listed in one message

Casing = bool | Literal["auto"]


class Rules(NamedTuple):
    """What is done to text before its words are looked up; `strip_accents` None follows `lowercase`."""

    lowercase: bool
    strip_accents: bool | None


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object, None where there is no such file.

    Raises:
        UserError: the file holds something else.
    """
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(body, dict):
            raise ValueError("not a JSON object")
        return body
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None


def entries(described: Mapping[str, Any], path: Path) -> list[str]:
    """The entries of a WordPiece tokenizer.json by id, without those that were added later.

    Raises:
        UserError: another kind of model, or ids with holes.
    """
    model = described.get("model") or {}
    if model.get("type") != "WordPiece":
        raise UserError(
            f"{path}: its model is '{model.get('type')}', expected WordPiece (BERT's); give a teacher with a "
            f"BERT vocabulary, or, if transformers saved a model of this project again, copy spm.model and "
            f"vocabulary.json from the original's folder"
        )
    by_id = {id: token for token, id in model["vocab"].items()}
    missing = sorted(set(range(len(by_id))) - set(by_id))
    if missing or any("\n" in token for token in by_id.values()):
        raise UserError(
            f"{path}: its ids do not run from 0 to {len(by_id) - 1} (no {missing[:3]}), or a token holds a "
            f"line end"
        )
    return [by_id[id] for id in range(len(by_id))]


def check_same_entries(tokens: Sequence[str], described: Mapping[str, Any], path: Path) -> None:
    """Refuse a tokenizer.json that does not hold the entries of the vocab.txt beside it.

    Raises:
        UserError: naming the first entry that differs.
    """
    theirs = (described.get("model") or {}).get("vocab")
    if not isinstance(theirs, dict):
        return  # of another kind of model: the comparison says so
    ours = {token: id for id, token in enumerate(tokens)}
    differing = [token for token in [*ours, *theirs] if ours.get(token) != theirs.get(token)]
    if differing:
        first = differing[0]
        raise UserError(
            f"{path}: not the vocabulary of the vocab.txt beside it: {first!r} is entry "
            f"{theirs.get(first, 'none')} here and {ours.get(first, 'none')} there; transformers reads this "
            f"file, so delete it if vocab.txt is right, else delete vocab.txt"
        )


def with_added(
    tokens: Sequence[str], folder: Path, configured: Mapping[str, Any], described: Mapping[str, Any]
) -> list[str]:
    """The entries and those that `add_tokens` put behind them.

    Raises:
        UserError: ids with holes, another entry under that id, or a word that WordPiece cannot look up whole.
    """
    made, words, marks = list(tokens), [], []
    for id, body in sorted(_added(folder, configured, described).items()):
        content = str(body["content"])
        if id > len(made) or made[id : id + 1] not in ([], [content]):
            has = made[id] if id < len(made) else f"only {len(made)} entries"
            raise UserError(
                f"{folder}: the added token {content!r} has id {id}, where the vocabulary has {has}; its "
                f"files do not belong together"
            )
        if id == len(made):
            made.append(content)
        if body.get("special"):
            marks += [content] if content not in SPECIAL else []
        elif not _stands_alone(content):
            words.append(content)
    if words:
        raise UserError(
            f"{folder}: the added tokens {listed(words)} are no single Han characters or marks; transformers "
            f"looks for them before all other rules, which is not reproduced here. To go on with their "
            f"characters read one by one, leave a vocab.txt that has them as its last lines, and take "
            f"{ADDED}, {DESCRIBED} and {CONFIG} away"
        )
    if marks:
        logging.warning(
            "%s: the special tokens %s keep their ids; text that spells them out is split as any other",
            folder,
            listed(marks),
        )
    return made


def _added(
    folder: Path, configured: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[int, dict[str, Any]]:
    """What was added by id: `content`, and `special` where that is known."""
    try:
        listed = (read_object(folder / ADDED) or {}).items()
        added: dict[int, dict[str, Any]] = {int(id): {"content": content} for content, id in listed}
        added |= {int(id): dict(body) for id, body in configured.get("added_tokens_decoder", {}).items()}
        return added | {int(body["id"]): dict(body) for body in described.get("added_tokens") or []}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder}: its added tokens cannot be read ({error!r})") from None


def _stands_alone(content: str) -> bool:
    """Whether BERT's rules make one word of it wherever it stands: a Han character or a punctuation mark."""
    if len(content) != 1:
        return False
    return google.is_punctuation(content) or any(
        first <= ord(content) <= last for first, last in google.HAN_RANGES
    )


def rules(
    source: Path,
    tokens: Sequence[str],
    configured: Mapping[str, Any],
    described: Mapping[str, Any],
    lowercase: Casing,
) -> Rules:
    """The casing and accents that a tokenizer's own files say, or the setting; what follows is in the log.

    Where neither says anything, text keeps its capitals if every letter from A to Z is an entry: no learned
    vocabulary lacks the characters of its text.

    Args:
        source: the vocabulary's file or folder, for messages.
        tokens: its entries.
        configured: the content of tokenizer_config.json.
        described: the content of tokenizer.json.
        lowercase: `vocabulary.lowercase`.

    Raises:
        UserError: naming the flag that is not reproduced.
    """
    normalizer = bert_normalizer(described)
    said = {}
    for key, there in SHARED.items():
        values = {CONFIG: configured.get(key), DESCRIBED: normalizer.get(there)}
        order = [
            name for name, known in ((CONFIG, key in configured), (DESCRIBED, there in normalizer)) if known
        ]
        if configured.get("tokenizer_class") in GENERIC:
            order.reverse()
        said[key] = values[order[0]] if order else None
        if len(order) > 1 and values[CONFIG] != values[DESCRIBED]:
            logging.warning(
                "%s: %s says %s: %s, %s says %s; %s is followed, as transformers does",
                *(source, CONFIG, key, json.dumps(values[CONFIG])),
                *(DESCRIBED, json.dumps(values[DESCRIBED]), order[0]),
            )
    _refuse(source, said, configured, normalizer)
    own = said["do_lower_case"]
    if lowercase == "auto" and own is None:
        chosen = not set(string.ascii_uppercase) <= set(tokens)
        logging.info(
            "%s: no file says its casing; %s (vocabulary.lowercase: true or false decides)",
            source,
            "text is lower-cased" if chosen else "A to Z are entries, so capitals are kept",
        )
    else:
        chosen = bool(own if lowercase == "auto" else lowercase)
        if own is not None and chosen != bool(own):
            logging.warning("%s: vocabulary.lowercase: %s, though its own files say %s", source, chosen, own)
    accents = None if said["strip_accents"] in (None, chosen) else bool(said["strip_accents"])
    _warn(source, tokens, chosen)
    return Rules(chosen, accents)


def bert_normalizer(described: Mapping[str, Any]) -> dict[str, Any]:
    """The BertNormalizer of a tokenizer.json, also one in a sequence; empty if there is none."""
    normalizer = described.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    return next((step for step in steps if step.get("type") == "BertNormalizer"), {})


def _refuse(
    source: Path, said: Mapping[str, Any], configured: Mapping[str, Any], normalizer: Mapping[str, Any]
) -> None:
    flags = {
        "tokenize_chinese_chars: false (Chinese words are not split)": said["tokenize_chinese_chars"]
        in (None, True),
        "do_basic_tokenize: false (words are split at spaces alone)": configured.get("do_basic_tokenize")
        in (None, True),
        f"never_split: {configured.get('never_split')}": not configured.get("never_split"),
        "clean_text: false (control characters stay)": normalizer.get("clean_text") in (None, True),
    }
    odd = [flag for flag, usual in flags.items() if not usual]
    for key, token in NAMES.items():
        named = configured.get(key) or token
        named = named.get("content") if isinstance(named, dict) else named
        odd += [f"{key}: {named} ({token} is BERT's)"] if named != token else []
    if odd:
        raise UserError(
            f"{source}: its tokenizer is set to {'; '.join(odd)}, which is not reproduced here; give a "
            f"teacher without it"
        )


def _warn(source: Path, tokens: Sequence[str], lowercase: bool) -> None:
    """Warn of capitals without entries and of entries that stand there twice."""
    if not lowercase and all(token.lower() == token for token in tokens if not is_mark(token)):
        logging.warning(
            "%s: capitals are kept, but no entry has one, so every word with a capital is [UNK]; "
            "vocabulary.lowercase: true makes text small",
            source,
        )
    ids: dict[str, list[int]] = {}
    for id, token in enumerate(tokens):
        ids.setdefault(token.strip(), []).append(id)
    twice = [f"{token!r} ({', '.join(map(str, known))})" for token, known in ids.items() if len(known) > 1]
    if twice:
        logging.warning(
            "%s: %d entries stand there more than once: %s; text gets the last id of each, as in Google's "
            "code",
            *(source, len(twice), listed(twice)),
        )


def is_mark(token: str) -> bool:
    """Whether an entry is written as special tokens are: [MASK], [unused1], <S>."""
    return token[:1] + token[-1:] in ("[]", "<>")


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
