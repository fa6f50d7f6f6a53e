"""Data, training, signing, verification, and the scorer of a verified bundle."""
