"""Training steps beside PyTorch and TextBrewer, pauses of checkpoints, determinism."""
