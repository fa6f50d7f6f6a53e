"""Sources of patient events and outcomes, pacing, publishing."""
