"""The gated pipeline: from live outcomes to a released model, with evidence at every step."""
