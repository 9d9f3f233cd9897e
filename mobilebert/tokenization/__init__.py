"""Learn a vocabulary, load a tokenizer, turn text into ids with character offsets."""

from mobilebert.tokenization.files import FILES, copy_files, load
from mobilebert.tokenization.tokenizer import SPECIAL, Encoding, Tokenizer

__all__ = ["FILES", "SPECIAL", "Encoding", "Tokenizer", "copy_files", "load"]
