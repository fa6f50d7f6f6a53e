"""What people watch: the live view, readers of topics. Each its own process, none in the hot path."""
