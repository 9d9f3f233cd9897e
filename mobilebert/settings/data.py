"""The data half: sources, corpus, vocabulary, records, masks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mobilebert.settings.buckets import check_bucket
from mobilebert.settings.fields import (
    Count,
    FolderOrUrl,
    MaybePathOrUrl,
    MaybeText,
    Name,
    Number,
    PathOrUrl,
    Section,
    absent,
    setting,
)

TextField = Annotated[str, Field(min_length=1)]


def _option(option: str) -> str:
    check_bucket(option.partition("=")[2])
    return option


class Beam(Section):
    """Where the corpus, the sample for the vocabulary and the records are made; it shapes no result, so a
    change reruns nothing.
    """

    runner: Literal["direct", "dataflow", "flink", "spark", "portable"] = setting(
        (
            "`direct`: in this process, or in as many as the rule has threads where the text is worth it; or "
            "another Beam runner"
        ),
        "direct",
    )
    pipeline_options: list[Annotated[str, Field(pattern=r"^--[a-z_]+(=|$)"), AfterValidator(_option)]] = (
        setting("Beam's own options, such as `--region=europe-west4`", [])
    )
    work: MaybePathOrUrl = setting(
        (
            "Folder for what lies between the steps; null: beside the output. Workers of another runner must "
            "see it (`gs://BUCKET/PREFIX`)"
        ),
        None,
    )


class SmallWorld(Section):
    """The generated Chinese world that stands in for sources and tasks (`from: small_world`)."""

    megabytes: Number = setting("Text to write, before dirt", 6.0, unit="MB", gt=0)
    dirt: Number = setting("Share of planted dirt: copies, mojibake, boilerplate, ...", 0.12, ge=0, le=1)
    questions: Count = setting("CMRC questions in the training file (a fifth more in dev)", 1200, ge=20)
    reviews: Count = setting("ChnSentiCorp reviews in the training file (a fifth more in dev)", 1600, ge=20)


class Source(Section):
    """One source of raw text."""

    name: Name = setting("Name in tables and reports")
    from_: PathOrUrl = setting(
        "`small_world`, a file, folder, glob, or an https:// or gs:// address", alias="from"
    )
    format: Literal[
        "auto",
        "text",
        "lines",
        "jsonl",
        "json",
        "csv",
        "tsv",
        "parquet",
        "html",
        "markdown",
        "rst",
        "mediawiki",
        "warc",
    ] = setting(
        "`auto` goes by each file's name, and by its content where the name is without a suffix; `text`: a "
        "file a document; `lines`: a "
        "sentence a line, an empty line between documents; `json`: an array, or objects of several lines; "
        "`warc`: WARC and WET (docs/stages.md lists all)",
        "auto",
    )
    text_field: TextField | Annotated[list[TextField], Field(min_length=1)] = setting(
        "JSON field, or CSV or Parquet column, that holds the text; `a.b`: field `b` in `a`; a list, such as "
        "`[title, body]`: all of them, one a line",
        "text",
    )
    text_format: Literal["plain", "markdown", "html", "rst"] = setting(
        "What the texts of fields and columns are written in", "plain"
    )
    licence: str = setting("Licence of the text, for the model card", "unknown")
    sha256: MaybeText = setting(
        "Expected digest of a fetched file (64 hexadecimal digits)", None, pattern="^[0-9a-fA-F]{64}$"
    )


class Corpus(Section):
    """Cleaning and deduplication."""

    from_: MaybePathOrUrl = setting("Corpus folder of another run to use instead", None, alias="from")
    against: list[FolderOrUrl] = setting(
        "Finished corpus folders of other runs (local or `gs://`): documents that one of them has, exactly "
        "or nearly, are dropped",
        [],
    )
    script: Literal["keep", "simplify", "drop_traditional"] = setting(
        "`simplify`: Traditional text in Simplified characters (OpenCC tw2s or hk2s), Simplified text as it "
        "is; `drop_traditional`: documents in Traditional characters go",
        "keep",
    )
    cantonese: Literal["keep", "drop"] = setting(
        "Written Cantonese (嘅, 喺, 咗, 唔): `keep` it as Chinese, or `drop` it; it is counted either way",
        "keep",
    )
    mask_sensitive: bool = setting(
        "Put fixed forms in the place of phone numbers, identity card numbers and e-mail addresses", False
    )
    decontaminate: list[PathOrUrl] = setting(
        (
            "Test files whose text must not be in the corpus: task files, text, JSONL; or `small_world`. "
            "Never "
            "follows from `tasks`"
        ),
        [],
    )
    max_contamination: Number = setting(
        "Most share of a test text's 13-grams that may stand in one document", 0.3, ge=0, lt=1
    )
    min_characters: Count = setting(
        "Shortest document", 30, unit="characters", source="a quatrain with its title", ge=1
    )
    min_han_share: Number = setting(
        "Least share of Han among all characters but white space",
        0.3,
        source="EvalWeb preprocess.py",
        ge=0,
        le=1,
    )
    max_uncommon_share: Number = setting(
        "Most share of Han outside the fixed list of common characters (finds mojibake)", 0.25, ge=0, le=1
    )
    min_stop_words: Count = setting(
        "Fewest different ones of 27 stop words in a text of 200 characters and more",
        2,
        unit="words",
        source="FineWeb-2 cmn_Hani.yml, Gopher",
    )
    min_punctuated_line_share: Number = setting(
        "Least share of lines that end in closing punctuation",
        0.106,
        source="FineWeb-2 cmn_Hani.yml",
        ge=0,
        le=1,
    )
    min_mean_line: Number = setting(
        "Shortest line on average", 6.0, unit="characters", source="EvalWeb preprocess.py has 10", ge=0
    )
    max_symbol_share: Number = setting(
        "Most number signs and ellipses a visible character", 0.06, source="Gopher: 0.1 a word", ge=0, le=1
    )
    max_bullet_line_share: Number = setting(
        "Most share of lines that begin with a bullet", 0.9, source="Gopher", ge=0, le=1
    )
    max_ellipsis_line_share: Number = setting(
        "Most share of lines that end in an ellipsis", 0.3, source="Gopher", ge=0, le=1
    )
    max_line_repeats: Count = setting(
        "Copies of a line that stay in a document; further ones are dropped", 3, unit="lines", ge=1
    )
    max_duplicate_line_share: Number = setting(
        "Most share of lines that repeat an earlier one", 0.287, source="FineWeb-2 cmn_Hani.yml", ge=0, le=1
    )
    max_duplicate_line_characters: Number = setting(
        "Most share of characters in lines that repeat an earlier one", 0.2, source="Gopher", ge=0, le=1
    )
    max_phrase_share: Number = setting(
        "Most share of characters in the most frequent 4-gram of characters",
        0.256,
        source="FineWeb-2 cmn_Hani.yml",
        ge=0,
        le=1,
    )
    max_repeated_share: Number = setting(
        "Most share of repeated 13-grams of characters", 0.5, source="EvalWeb preprocess.py", ge=0, le=1
    )
    near_duplicates: bool = setting("Drop near-duplicates too (exact ones always go)", True)
    near_duplicate_similarity: Number = setting(
        "Jaccard similarity of character 5-grams from which two documents count as one", 0.7, gt=0, le=1
    )
    max_paragraph_documents: Annotated[Annotated[Count, Field(ge=1)] | None, BeforeValidator(absent)] = (
        setting(
            (
                "Documents that may share a paragraph (a line of ten Han, thirty letters or more); if more "
                "do, "
                "it goes from all. null: any number"
            ),
            None,
            unit="documents",
            source="CCNet, Wenzek et al. 2020",
        )
    )
    rejects_per_reason: Literal["all"] | Annotated[Count, Field(ge=0)] = setting(
        "Rejected documents kept per source and reason", 50, unit="documents"
    )
    on_error: Literal["skip", "stop"] = setting(
        "A file that cannot be read: name and count it, or stop", "skip"
    )
    block_megabytes: Number = setting("Text a Beam element refers to", 2.0, unit="MB", gt=0, le=64)


class Vocabulary(Section):
    """The tokenizer that teacher and student share."""

    from_: MaybePathOrUrl = setting("Tokenizer folder of another run to use instead", None, alias="from")
    kind: Literal["learned", "file", "teacher"] = setting(
        "sentencepiece on the corpus, a given vocab.txt, or the given teacher's", "learned"
    )
    path: MaybePathOrUrl = setting("vocab.txt for `kind: file`", None)
    model: Literal["unigram", "bpe"] = setting("sentencepiece model for `kind: learned`", "bpe")
    lowercase: Literal["auto"] | bool = setting(
        (
            "Read small letters only; `auto`: a learned vocabulary does, another's says itself (its "
            "tokenizer's files; else capitals stay where A to Z are entries)"
        ),
        "auto",
    )
    size: Count = setting("Entries for `kind: learned`", 4000, unit="tokens", ge=300, le=65536)
    sample_megabytes: Number = setting("Text that sentencepiece sees", 20.0, unit="MB", gt=0)

    @property
    def learns_lowercase(self) -> bool:
        """Whether a vocabulary is learned on small letters."""
        return self.lowercase is not False

    @property
    def others_lowercase(self) -> Literal["auto"] | bool:
        """What an imported vocabulary is told; nothing where the run has a tokenizer from elsewhere."""
        return "auto" if self.from_ or self.kind == "learned" else self.lowercase


class Records(Section):
    """TFRecords of token ids with word starts."""

    from_: MaybePathOrUrl = setting(
        (
            "Records folder of another run, or a folder or glob of classic BERT records, to use instead "
            "(with "
            "the tokenizer they belong to)"
        ),
        None,
        alias="from",
    )
    sequence_length: Count = setting(
        "Tokens a record, [CLS], [SEP] and [PAD] included", 128, unit="tokens", ge=16, le=512
    )
    layout: Literal["windows", "pairs", "full"] = setting(
        (
            "`windows`: [CLS] A [SEP]; `pairs`: [CLS] A [SEP] B [SEP] of one document; `full`: windows whose "
            "rests are joined across documents"
        ),
        "windows",
    )
    next_sentence: bool = setting(
        "`pairs`: give half of the records a second segment of another document, and a label", False
    )
    user_dictionary: MaybePathOrUrl = setting(
        "Words for the segmenter: a text file in jieba's form, `word [frequency [tag]]` a line", None
    )
    heldout_share: Number = setting(
        "Documents held out, chosen by the hash of their text", 0.02, gt=0, lt=0.5
    )
    shards: Count = setting("Training files", 4, ge=1)
    export: Annotated[Literal["bert"] | None, BeforeValidator(absent)] = setting(
        "`bert`: write them as classic seven-feature records with static masks too, for other programs", None
    )
    dupe_factor: Count = setting(
        "Masks of each record in that export", 10, source="create_pretraining_data.py, Google BERT", ge=1
    )
    compression: Literal["gzip", "none"] = setting("`gzip` takes about 0.6 of the space of `none`", "gzip")

    def shaping(self) -> dict[str, Any]:
        """What shapes the records: not where they come from, nor what is made of them later."""
        return self.model_dump(mode="json", exclude={"from_", "user_dictionary", "export", "dupe_factor"})


class Masking(Section):
    """Masks for masked language modelling, drawn while training."""

    strategy: Literal["wwm", "ngram_wwm", "token"] = setting(
        "Whole words, one to four words in a row as MacBERT, or single tokens", "wwm"
    )
    share: Number = setting("Share of tokens predicted", 0.15, source="BERT, Devlin et al. 2018", gt=0, lt=1)
    max_predictions: Count = setting("Most predictions a sequence (static shape)", 20, unit="tokens", ge=1)
