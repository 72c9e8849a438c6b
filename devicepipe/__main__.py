"""`python -m devicepipe` is the `devicepipe` command."""

from devicepipe.cli.main import main

main()
