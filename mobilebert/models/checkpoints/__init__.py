"""Weights on disk: transformers directories, TF1 checkpoints, torch's pickles."""
