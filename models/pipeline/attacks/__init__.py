"""Attacks on a candidate and on the snapshot that it learns from, each with its measured success."""
