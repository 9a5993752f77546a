"""`python -m estiba` is the command line."""

from estiba.cli.main import main

main()
