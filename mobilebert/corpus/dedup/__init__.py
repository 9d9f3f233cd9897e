"""Duplicates: near-duplicate documents by MinHash, paragraphs that many documents share."""
