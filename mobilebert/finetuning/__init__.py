"""Finetuning on tasks: features, objectives, predictions, metrics and scores."""
