"""Gate 1, compliance: what must not be in training data, found and taken out before anything learns from it."""
