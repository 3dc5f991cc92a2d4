"""One module for each command; `tonwatch.cli` parses the command line."""
