"""MobileBERT-zh: from raw Chinese text and a Chinese BERT teacher to compact Chinese MobileBERT models.

A module imports only from those above it in this list: settings, storage, dataflow, smallworld, text, tasks,
corpus, tokenization, records, models, training, distillation, finetuning, exporting, reporting, publishing.
The library never imports snakemake.
"""

__version__ = "0.1.0"
