"""``tonwatch bundle export`` on the command line."""

import argparse
import sys

from tonwatch.commands.options import OK, PROBLEM, USAGE


def run_export(options: argparse.Namespace, _: object) -> int:
    """Write the selected parts; returns the exit code."""
    from tonwatch.commands.bundle import export
    from tonwatch.commands.bundle.options import selection

    try:
        selected = selection(options)
        export.export(selected, options.directory, force=options.force, out=sys.stdout)
    except ValueError as error:
        print(f"tonwatch bundle export: {error}", file=sys.stderr)
        return USAGE
    except export.BundleError as error:
        print(f"tonwatch bundle export: {error}", file=sys.stderr)
        return PROBLEM
    return OK
