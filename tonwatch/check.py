"""``tonwatch check``: asks everything once and says what it found."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TextIO

from tonwatch.assembly import assembled
from tonwatch.config import Config
from tonwatch.probes.sample import Probe
from tonwatch.serve.health import document
from tonwatch.watch.board import Board
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.scheduler import Job
from tonwatch.watch.sentences import duration
from tonwatch.watch.verdict import Verdict
from tonwatch.watch.watcher import View

_COLUMNS = ("TARGET", "ROLE", "STATE", "BLOCK", "BEHIND", "SHARD GAP", "CLOCK", "LATENCY", "DETAIL")


async def check(config: Config, *, as_json: bool, out: TextIO = sys.stdout) -> bool:
    """Run every probe once.

    Returns:
        Whether all is well. A stall takes longer to see than one look.
    """
    async with assembled(config) as parts:
        forks = [job for job in parts.jobs if job.probe is Probe.FORK]
        await _ask([job for job in parts.jobs if job not in forks], parts.board)
        parts.watcher.look()  # who is to be compared must have been found first
        await _ask(forks, parts.board)
        view = parts.watcher.look()
    if as_json:
        print(json.dumps(document(view, config), indent=2), file=out)
    else:
        print(_table(view), file=out)
    return view.diagnosis.cause is Cause.HEALTHY


async def _ask(jobs: Sequence[Job], board: Board) -> None:
    for samples in await asyncio.gather(*(job.ask() for job in jobs)):
        for sample in samples:
            board.add(sample)


def _table(view: View) -> str:
    rows = [_COLUMNS, *(_row(verdict) for verdict in view.judgement.verdicts.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    also = [f"Also: {finding.sentence}" for finding in view.diagnosis.also]
    return "\n".join([*lines, "", f"{view.diagnosis.cause}: {view.diagnosis.sentence}", *also])


def _row(verdict: Verdict) -> tuple[str, ...]:
    head = verdict.head
    offset = head.clock_offset if head else None
    return (
        verdict.target.name,
        verdict.target.role,
        verdict.state,
        str(head.seqno) if head else "-",
        "-" if verdict.behind_seconds is None else duration(verdict.behind_seconds),
        "-" if verdict.shard_gap is None else str(verdict.shard_gap),
        "-" if offset is None else f"{offset:+.1f} s",
        "-" if verdict.latency is None else f"{verdict.latency * 1000:.1f} ms",
        verdict.detail,
    )
