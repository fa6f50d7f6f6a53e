"""The one command, `cardiosentry`."""
