"""What the Beam stages share: where they run, and files that all their workers see."""
