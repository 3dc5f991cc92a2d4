"""``tonwatch check``: asks everything once and says what it found."""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TextIO

from tonwatch.commands import logs
from tonwatch.commands.options import OK, PROBLEM, Loading
from tonwatch.config.models import Config
from tonwatch.runtime.runtime import Runtime, running
from tonwatch.runtime.scheduler import Job
from tonwatch.samples.account import AccountKey, Reading
from tonwatch.samples.sample import Probe
from tonwatch.serve.health.document import as_text, document
from tonwatch.system.internal_errors import InternalError
from tonwatch.watch.findings import Cause
from tonwatch.watch.sentences import duration
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.view import View
from tonwatch.watch.wallet_verdicts import ContractVerdict, Holding, WalletVerdict

_Row = tuple[str, ...]

_TARGETS: Final = (
    "TARGET",
    "ROLE",
    "STATE",
    "BLOCK",
    "BEHIND",
    "SHARD GAP",
    "CLOCK",
    "LATENCY",
    "DETAIL",
)
_WALLETS: Final = (
    "WALLET", "ASSET", "STATE", "BALANCE", "MINIMUM", "PROVEN", "SOURCE", "DETAIL",
)  # fmt: skip
_CONTRACTS: Final = ("CONTRACT", "STATE", "CODE", "PROVEN", "SOURCE", "DETAIL")

_FIRST: Final = frozenset({Probe.HEAD, Probe.CONNECT})
_ABOUT_ALL: Final = (Probe.FORK, Probe.BALANCE, Probe.COMPARE, Probe.WRITE)
"""What is asked afterwards, in this order: each needs what was learnt before."""


async def check(config: Config, *, as_json: bool, out: TextIO = sys.stdout) -> bool:
    """Run every probe once, and read every wallet and contract. Payouts are not counted.

    Returns:
        Whether all is well, tonwatch itself too. A stall takes longer to see than one look.
    """
    async with running(config, counting=False) as runtime:
        await _ask([job for job in runtime.jobs if job.probe in _FIRST], runtime)
        for probe in _ABOUT_ALL:
            runtime.watcher.look()  # who is to be asked must have been found first
            jobs = [job for job in runtime.jobs if job.probe is probe]
            if probe is Probe.BALANCE:
                await _read_all(jobs, runtime)
            else:
                await _ask(jobs, runtime)
        view = runtime.watcher.look()
        errors = runtime.errors.seen()
    if as_json:
        out.write(as_text(document(view, errors)))
    else:
        print(_text(view, errors), file=out)
    return view.diagnosis.cause is Cause.HEALTHY and not errors


async def _ask(jobs: Sequence[Job], runtime: Runtime) -> list[AccountKey]:
    """Ask all of them at once; returns the accounts that were read or could not be."""
    asker = runtime.asker
    planned = [(job, question) for job in jobs for question in asker.plan(job)]
    answers = await asyncio.gather(*(asker.ask(job, question) for job, question in planned))
    return [told.key for answer in answers for told in answer if isinstance(told, Reading)]


async def _read_all(jobs: Sequence[Job], runtime: Runtime) -> None:
    """Ask for the next accounts until none is left; what failed is not tried again."""
    tried: set[AccountKey] = set()
    while not tried.issuperset(batch := await _ask(jobs, runtime)):
        tried.update(batch)
        runtime.watcher.look()  # a source that fails is not asked for the rest


def _text(view: View, errors: Sequence[InternalError]) -> str:
    """The tables, and what is wrong."""
    wallet_status = view.judgement.wallet_status
    tables = [_table(_TARGETS, map(_row, view.judgement.verdicts.values()))]
    if wallet_status.wallets:
        rows = (row for wallet in wallet_status.wallets.values() for row in _wallet_rows(wallet))
        tables.append(_table(_WALLETS, rows))
    if wallet_status.contracts:
        tables.append(_table(_CONTRACTS, map(_contract_row, wallet_status.contracts.values())))
    said = [f"{view.diagnosis.cause}: {view.diagnosis.sentence}"]
    said += [f"Also: {finding.sentence}" for finding in view.diagnosis.also]
    said += [f"tonwatch itself has a bug: its {error.component} failed." for error in errors]
    return "\n\n".join([*tables, "\n".join(said)])


def _table(columns: _Row, content: Iterable[_Row]) -> str:
    rows = [columns, *content]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(verdict: Verdict) -> _Row:
    head = verdict.head
    offset = head.clock_offset if head else None
    return (
        verdict.target.name,
        verdict.target.role,
        verdict.state,
        str(head.seqno) if head else "-",
        "-" if verdict.lag_seconds is None else duration(verdict.lag_seconds),
        "-" if verdict.shard_client_lag is None else str(verdict.shard_client_lag),
        "-" if offset is None else f"{offset:+.1f} s",
        "-" if verdict.latency is None else f"{verdict.latency * 1000:.1f} ms",
        verdict.detail,
    )


def _wallet_rows(wallet: WalletVerdict) -> Iterator[_Row]:
    for holding in wallet.holdings.values():
        reading = holding.reading
        yield (
            wallet.name,
            holding.asset,
            _state(reading),
            _amount(holding, holding.amount),
            _amount(holding, holding.minimum),
            *_whose_word(reading),
            "below the minimum" if holding.low else _trouble(reading, holding.trouble),
        )


def _contract_row(contract: ContractVerdict) -> _Row:
    code = {True: "as expected", False: "changed", None: "-"}[contract.matches]
    reading = contract.reading
    detail = _trouble(reading, contract.trouble)
    if contract.matches is False and reading is not None:
        detail = f"has {reading.code_hash.hex()}" if reading.code_hash else "has no code"
    return contract.name, _state(reading), code, *_whose_word(reading), detail


def _state(reading: Reading | None) -> str:
    return reading.status or "-" if reading is not None else "-"


def _whose_word(reading: Reading | None) -> tuple[str, str]:
    if reading is None:
        return "-", "-"
    return "yes" if reading.proven else "no", reading.source


def _trouble(reading: Reading | None, trouble: str) -> str:
    """Why an account is not known; empty where it is."""
    return trouble if reading is None else ""


def _amount(holding: Holding, units: int | None) -> str:
    return "-" if units is None else holding.written(units)


def command(options: argparse.Namespace, loading: Loading) -> int:
    """``tonwatch check``; returns the exit code."""
    config = loading.load_to_watch(options)
    # The table says all there is to say; only bugs of ours are logged.
    logs.configure(config.log.model_copy(update={"level": "error"}))
    return OK if asyncio.run(check(config, as_json=options.json)) else PROBLEM
