"""`python -m mgr_cli` is `mgr`."""

from mgr_cli.commands.app import main

main()
