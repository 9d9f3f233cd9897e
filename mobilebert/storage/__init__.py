"""Bytes at rest, handled once: artifacts, locks, atomic writes, JSON, paths, buckets, downloads."""
