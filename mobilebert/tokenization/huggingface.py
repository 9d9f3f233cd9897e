"""The tokenizer as transformers opens it: `tokenizer.json`, `tokenizer_config.json`,
`special_tokens_map.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from mobilebert.storage.atomic import canonical_json
from mobilebert.tokenization import protobuf, word_cuts
from mobilebert.tokenization.learned import SPACE_MARK
from mobilebert.tokenization.tokenizer import CLS, MASK, PAD, SEP, SPECIAL, UNK, Tokenizer

NAMES = {"pad_token": PAD, "unk_token": UNK, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
LONGEST_INPUT = 512  # positions of every published BERT and MobileBERT


def write(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the three files into a folder that holds `vocab.txt` or `spm.model` already."""
    made = (
        _wordpiece(tokenizer)
        if tokenizer.kind == "wordpiece"
        else _sentencepiece(tokenizer, folder / "spm.model")
    )
    made.add_special_tokens(
        [tokenizers.AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    made.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, tokenizer.cls), (SEP, tokenizer.sep)],
    )
    (folder / "tokenizer.json").write_text(made.to_str(pretty=True) + "\n", encoding="utf-8")
    config: dict[str, Any] = {
        "model_max_length": LONGEST_INPUT,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    if tokenizer.kind == "wordpiece":
        config |= {
            "tokenizer_class": "BertTokenizerFast",
            "do_lower_case": tokenizer.lowercase,
            "tokenize_chinese_chars": True,
            "strip_accents": _accents(tokenizer),
        }
    else:
        config |= {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": tokenizer.lowercase}
    for name, body in (("tokenizer_config.json", config | NAMES), ("special_tokens_map.json", NAMES)):
        (folder / name).write_bytes(canonical_json(body))


def _accents(tokenizer: Tokenizer) -> bool | None:
    """`strip_accents` in the words of transformers: None where it follows the casing."""
    own = getattr(tokenizer, "strip_accents", tokenizer.lowercase)
    return None if own == tokenizer.lowercase else own


def _wordpiece(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    vocabulary = {token: id for id, token in enumerate(tokenizer.tokens)}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNK, max_input_chars_per_word=200))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=_accents(tokenizer),
        lowercase=tokenizer.lowercase,
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    return made


def _sentencepiece(tokenizer: Tokenizer, path: Path) -> tokenizers.Tokenizer:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    scores = [processor.get_score(id) for id in range(processor.get_piece_size())]
    if protobuf.is_unigram(path.read_bytes()):
        model: models.Model = models.Unigram(
            list(zip(tokenizer.tokens, scores, strict=True)), unk_id=tokenizer.unk, byte_fallback=False
        )
    else:
        vocabulary = {token: id for id, token in enumerate(tokenizer.tokens)}
        merges = _merges(tokenizer.tokens, scores)
        model = models.BPE(vocab=vocabulary, merges=merges, unk_token=UNK, fuse_unk=True, byte_fallback=False)
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.Sequence(_plain(tokenizer.lowercase))
    words = word_cuts.pattern(token for token in tokenizer.tokens if token not in SPECIAL)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE_MARK, prepend_scheme="never", split=False),
            pre_tokenizers.Split(tokenizers.Regex(words), "isolated"),
        ]
    )
    made.decoder = decoders.Metaspace(replacement=SPACE_MARK, prepend_scheme="never", split=False)
    return made


def _plain(lowercase: bool) -> list[normalizers.Normalizer]:
    """`learned.plain` in the words of the tokenizers library."""
    spaces = "".join(chr(point) for point in range(1, 0x3001) if chr(point).isspace()) + SPACE_MARK
    steps = [normalizers.Replace(tokenizers.Regex(f"[{spaces}]+"), " "), normalizers.Strip()]
    # Lowercase would make two characters of this one.
    return [normalizers.Replace("\u0130", "i"), normalizers.Lowercase(), *steps] if lowercase else steps


def _merges(tokens: list[str], scores: list[float]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, in the order in which sentencepiece merges: by the score of
    what is made.
    """
    id_of = {token: id for id, token in enumerate(tokens)}
    merges = []
    for id, token in enumerate(tokens):
        if token in SPECIAL:
            continue
        for cut in range(1, len(token)):
            left, right = id_of.get(token[:cut]), id_of.get(token[cut:])
            if left is not None and right is not None:
                merges.append((-scores[id], id, left, right))
    return [(tokens[left], tokens[right]) for _, _, left, right in sorted(merges)]
