"""Pure functions on text: decode, normalise, split into sentences and words, judge with reasons."""
