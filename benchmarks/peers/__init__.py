"""The same job as CardioSentry's, written with others' libraries the way their documentation shows."""
