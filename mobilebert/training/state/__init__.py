"""What a training keeps to go on from: its folder, checkpoints, copies of them in a bucket."""
