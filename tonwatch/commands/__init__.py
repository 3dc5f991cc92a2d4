"""The commands of the command line. `tonwatch.cli` says which one was asked for."""
