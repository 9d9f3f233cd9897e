"""From sources to documents: list, fetch, read, clean, deduplicate (Beam)."""
