"""The command line, as `python -m dissectreport`."""

from dissectreport.cli.app import main

main()
