"""Measure latency, throughput, wallets, memory, start-up and more: all, or the named ones."""

import argparse
import asyncio
import logging
import sys

from benchmarks import (
    daemon,
    dependencies,
    judging,
    latency,
    metrics,
    readers,
    throughput,
    wallets,
)
from benchmarks.report import Goal, machine, table

MEASUREMENTS = {
    "latency": lambda: asyncio.run(latency.measure()),
    "throughput": lambda: asyncio.run(throughput.measure()),
    "metrics": metrics.measure,
    "readers": readers.measure,
    "wallets": wallets.measure,
    "judging": judging.measure,
    "daemon": daemon.measure,
    "dependencies": dependencies.measure,
}


def main() -> int:
    """Print the tables; returns 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", choices=["all", *MEASUREMENTS], default="all")
    which = parser.parse_args().which
    # pytoniq logs an error for each client whose background task ends.
    logging.disable(logging.CRITICAL)
    print(machine())
    goals: list[Goal] = []
    for name in MEASUREMENTS if "all" in which else which:
        text, reached = MEASUREMENTS[name]()
        print(f"\n{text}", flush=True)
        goals += reached
    rows = [["goal", "wanted", "measured", ""]]
    rows += [
        [goal.what, goal.goal, goal.measured, "ok" if goal.met else "MISSED"] for goal in goals
    ]
    print(f"\n{table(rows)}")
    return 0 if all(goal.met for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
