"""Plays a campaign and prints what was wrong, with minimal scenarios.

python -m tests.campaign --tier judge --seeds 0:20000 --jobs 2
"""

import argparse
import os
import sys

from tests.campaign.campaign import TIERS, campaign, shown


def _range(text: str) -> range:
    first, colon, last = text.partition(":")
    return range(int(first), int(last)) if colon else range(int(first))


def main() -> int:
    """Returns 1 where something was wrong."""
    parser = argparse.ArgumentParser(description="Random faults against an oracle.")
    parser.add_argument("--tier", choices=list(TIERS), default="judge")
    parser.add_argument("--seeds", type=_range, default=range(1000), help="FIRST:END, or how many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    report = campaign(asked.tier, asked.seeds, asked.jobs)
    sys.stdout.write(f"{report}\n")
    for text in shown(asked.tier, report):
        sys.stdout.write(f"\n{text}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
