"""Pretraining of a backbone: losses, the networks around it, the training, and the files that keep what came of it."""
