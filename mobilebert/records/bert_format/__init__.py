"""Classic BERT records, masked once: read as records of ours, and written from them."""
