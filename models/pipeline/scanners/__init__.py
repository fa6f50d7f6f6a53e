"""Scanners: real tools and rules of our own, behind one table, over code, libraries, notebooks and artefacts."""
