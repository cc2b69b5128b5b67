"""`python -m portside` is `portside`."""

from portside.cli.application import main

main()
