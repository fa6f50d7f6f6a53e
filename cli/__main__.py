"""`python -m cli` is the command `cardiosentry`."""

from cli.main import main

main()
