"""One module for each command. `tonwatch.cli` says which one was asked for."""
