"""Where text comes from: files found, their formats recognised, the list of them all."""
