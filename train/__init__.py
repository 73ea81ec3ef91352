"""Makes the weights: networks, synthetic scenes, losses, the script. Needs the extra `train`."""
