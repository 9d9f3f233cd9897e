"""Cleaning and deduplication judged on labelled text."""
