"""What people read about a run: the model card and the report."""
