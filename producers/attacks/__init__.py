"""Attacks on the model as seeded, labelled scenarios to mix into a clean stream and so rehearse an incident."""
