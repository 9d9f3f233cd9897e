"""Learn a vocabulary from the cleaned corpus with sentencepiece."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mobilebert import settings
from mobilebert.storage import artifacts
from scripts import command


def main(options: argparse.Namespace) -> None:
    """Sample documents, train, write the tokenizer artifact."""
    from mobilebert.records import sampling
    from mobilebert.tokenization import files, learning

    chosen = settings.parse(options.settings)
    vocabulary = chosen.vocabulary
    seed = settings.derive_seed(chosen.seed, "learn_vocabulary")
    artifacts.read(options.corpus, "corpus")
    texts = sampling.documents(
        options.corpus, vocabulary.sample_megabytes, seed, options.out, options.threads, options.beam
    )
    with artifacts.writing(
        options.out,
        "tokenizer",
        settings=settings.sections_of(chosen, "vocabulary", "seed"),
        inputs={"corpus": options.corpus},
        versions=("sentencepiece", "tokenizers", "rjieba"),
    ) as writer:
        model = learning.learn(texts, vocabulary)
        tokenizer = files.write(writer, "sentencepiece", model, vocabulary.learns_lowercase)
    logging.info("learned %d tokens (%s)", tokenizer.size, vocabulary.model)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.beam_parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True, help="the corpus artifact")
    return made


if __name__ == "__main__":
    command.run(main, parser())
