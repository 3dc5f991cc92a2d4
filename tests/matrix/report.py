"""Writes docs/faults.md: the matrix, with the times to detect that were measured.

python -m tests.matrix.report > docs/faults.md
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import structlog

from tests.matrix.playing import Played, played
from tests.matrix.situations import INTERVAL, Situation, situations
from tonwatch.watch.findings import Cause

PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"

REMEDY: Final = "write it anew: python -m tests.matrix.report > docs/faults.md"

_INTRODUCTION = """\
# Faults

What tonwatch makes of {count} situations: written by `make docs` from
`tests/matrix/matrix.yaml`, which the tests play against the simulator with all settings at their
defaults. Where more than one thing happens, *a → b* is first a and then b.

- *Diagnosis*: the cause that is named; in brackets what is listed below it.
- *States*: of the targets that are not ok. `node-1` is the primary; `payouts` is a wallet.
- *Ready*: what `/ready` answers in the end.
- *Alert*: the one that fires for the diagnosis.
- *Named after*: probe intervals ({interval:g} s) from the fault to the diagnosis, where the fault
  comes at the worst moment: right after the target was asked, or the wallet was read. One lost
  answer proves nothing, so it takes two; where no answer comes, a timeout more.
  Wallets are read every 15 s, and external messages are sent every 60 s.
- *Unready after*: likewise until `/ready` answers no.
- *Over after*: from the end of the fault to the diagnosis `healthy`.

To watch one of them: `python -m tests.matrix.situations "node restarts" > restarts.yaml`, then
`tonwatch simulate --scenario restarts.yaml`; see [rehearsals](rehearsals.md).
"""

_TIME: Final = re.compile(r"(?<=[|→] )\d+\.\d(?= [|→])")
"""A time in the last columns, in probe intervals."""

_COLUMNS = (
    "Situation", "Faults", "Diagnosis", "States", "Ready", "Alert",
    "Named after", "Unready after", "Over after",
)  # fmt: skip


def report(line: Callable[[Situation], str]) -> str:
    """The whole page, with what `line` gives for each situation."""
    rows = situations()
    parts = [_INTRODUCTION.format(count=len(rows), interval=INTERVAL)]
    for group, members in groupby(rows, key=lambda row: row.group):
        lines = [line(row) for row in members]
        head = f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"
        parts.append("\n".join([f"## {group.capitalize()}\n", head, *lines]) + "\n")
    return "\n".join(parts)


def measured(situation: Situation, parts: Sequence[Played]) -> str:
    """The line of a situation that was played."""
    *steps, recovery = parts
    cells = (
        f"**{situation.name}**: {situation.situation}",
        _then(_faults(part) for part in steps),
        _then(_diagnosis(part) for part in steps),
        _then(_states(part) for part in steps),
        _then(_ready(part) for part in steps),
        _then(part.step.expect.alert or "none" for part in steps),
        _then(_number(part.named_after) for part in steps),
        _then(_unready(part) for part in steps),
        _number(recovery.named_after),
    )
    return f"| {' | '.join(cells)} |"


def agree(documented: str | None, line: str) -> bool:
    """Whether two lines are the same, where a time may differ by one evaluation.

    A wallet's checkpoints are written in a thread, which takes real time.
    """
    if documented is None:
        return False
    old, new = _TIME.findall(documented), _TIME.findall(line)
    return _TIME.sub("", documented) == _TIME.sub("", line) and all(
        abs(float(one) - float(other)) <= 0.1 + 1e-9 for one, other in zip(old, new, strict=True)
    )


def documented() -> dict[str, str]:
    """The lines that the page has now, by their situation's name."""
    page = PAGE.read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"(?m)^\| \*\*(.*?)\*\*.*\|$", page)}


def _then(texts: Iterator[str]) -> str:
    return " → ".join(texts)


def _faults(part: Played) -> str:
    step = part.step
    faults = [f"`{target}: {fault}`" for target, fault in step.set.items()]
    if step.local_clock is not None:
        faults.append(f"local clock {step.local_clock:+g} s")
    faults += [f"{name} pays {coins:g}" for name, coins in step.pay.items()]
    if step.away:
        faults.append("tonwatch is away")
    elif part.restarts:
        faults.append(
            "tonwatch is restarted" + (", with another configuration" * bool(step.config))
        )
    if step.clear:
        faults.append("all cleared" if step.clear == "all" else f"{', '.join(step.clear)} cleared")
    return ", ".join(faults) or "none"


def _diagnosis(part: Played) -> str:
    expected = part.step.expect
    if part.step.away:
        return "–"
    also = f" ({', '.join(expected.also)})" if expected.also else ""
    named = str(expected.cause)
    link = named if expected.cause is Cause.HEALTHY else f"[{named}](diagnoses.md#{named})"
    return link + also


def _states(part: Played) -> str:
    states = part.step.expect.states
    if states is None:
        return "varies"
    return ", ".join(f"{name} {state}" for name, state in states.items()) or "–"


def _ready(part: Played) -> str:
    return {True: "yes", False: "no", None: "varies"}[part.step.expect.ready]


def _unready(part: Played) -> str:
    turned = part.step.expect.ready is False and part.decided_after > 0
    return _number(part.decided_after if turned else None)


def _number(intervals: float | None) -> str:
    return f"{intervals:.1f}" if intervals else "–"


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.stdout.write(report(lambda row: measured(row, played(row))))
