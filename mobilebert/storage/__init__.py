"""Bytes at rest, handled once: artifacts, locks, atomic writes, JSON, paths (local, gs://, ...), buckets, downloads."""
