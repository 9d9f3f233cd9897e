"""A pipeline is a list of stages that Beam runs, here or elsewhere, in a work folder that all workers see."""
