"""What a run made, for people: tables, curves, one HTML page, the model card."""
