"""Training: networks, rendered scenes, losses and the training script. Needs the extra `train`."""
