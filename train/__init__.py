"""Makes the weights: networks, synthetic scenes, losses and the training script. Needs torch (extra `train`)."""
