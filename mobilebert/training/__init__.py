"""Training: accelerators, optimizers and schedules, the one loop, checkpoints and resume.

Import the modules themselves (`from mobilebert.training import loop, state`): `state` and `checkpoints` need
no TensorFlow.
"""
