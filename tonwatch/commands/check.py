"""``tonwatch check``: runs every probe and prints the results."""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO

from tonwatch.commands import logs
from tonwatch.commands.options import OK, PROBLEM, Loading
from tonwatch.config.models import Config
from tonwatch.runtime.runtime import Runtime, running
from tonwatch.runtime.scheduler import Job
from tonwatch.samples.account import AccountKey, Reading
from tonwatch.samples.sample import Probe
from tonwatch.serve.health.document import as_text, document
from tonwatch.system.executors import Threads
from tonwatch.system.internal_errors import InternalError
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.kind import OpenTarget
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.planner import NOT_COUNTED, UNCLAIMED, UNKNOWN_CODE
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
    "LAG",
    "SHARD CLIENT LAG",
    "CLOCK",
    "LATENCY",
    "DETAIL",
)
_WALLETS: Final = (
    "WALLET", "ASSET", "STATE", "BALANCE", "MINIMUM", "PROVEN", "SOURCE", "DETAIL",
)  # fmt: skip
_CONTRACTS: Final = ("CONTRACT", "STATE", "CODE", "PROVEN", "SOURCE", "DETAIL")

_FIRST: Final = frozenset({Probe.HEAD, Probe.CONNECT, Probe.ACCOUNT})
_LATER: Final = (Probe.FORK, Probe.BALANCE, Probe.COMPARE, Probe.WRITE)
"""The later probes, in this order: each needs the results of those before it."""

_CONFIRMED: Final = frozenset({Probe.CONNECT, Probe.ACCOUNT, Probe.WRITE})
"""Probes whose first failure proves nothing: it is confirmed."""

_SECOND_CLIENTS: Final = 4
"""How many targets are asked with a second client at a time: they have a thread each."""

_DISAGREE: Final = """\
Where both disagree, tonwatch or pytoniq has a bug, unless several servers share the address.
Please report it with all of the above."""


async def check(
    config: Config, *, as_json: bool, cross_check: bool = False, out: TextIO = sys.stdout
) -> bool:
    """Run every probe, and read every wallet and contract. Payouts are not counted.

    Each runs once, or once more where a single failure proves nothing.

    Args:
        config: what to ask.
        as_json: write the /health document, with `cross_check` in it where that is asked for.
        cross_check: ask each target once more with a second client, where its kind has one.
        out: where to write.

    Returns:
        Whether all is healthy, tonwatch itself too. A stall is not detected: that takes longer.
    """
    second: Mapping[str, CrossCheck] | None = None
    async with running(config, keeping=False) as runtime:
        await _ask_twice([job for job in runtime.jobs if job.probe in _FIRST], runtime)
        for probe in _LATER:
            runtime.watcher.evaluate()  # planning needs the verdicts
            jobs = [job for job in runtime.jobs if job.probe is probe]
            if probe is Probe.BALANCE:
                await _read_all(jobs, runtime)
            else:
                await _ask_twice(jobs, runtime)
        view = runtime.watcher.evaluate()
        if cross_check:
            second = await _cross_check(runtime, view)
        errors = runtime.errors.seen()
    if as_json:
        content = document(view, errors)
        if second is not None:
            content["cross_check"] = [_as_json(name, each) for name, each in second.items()]
        out.write(as_text(content))
    else:
        print(_text(view, errors), file=out)
        if second is not None:
            print(f"\n{_cross_check_text(second)}", file=out)
    disagree = any(each.agrees is False for each in (second or {}).values())
    return view.diagnosis.cause is Cause.HEALTHY and not errors and not disagree


async def _ask(jobs: Sequence[Job], runtime: Runtime) -> list[AccountKey]:
    """Run all questions at once; returns the accounts, read or not."""
    asker = runtime.asker
    planned = [(job, question) for job in jobs for question in asker.plan(job)]
    answers = await asyncio.gather(*(asker.ask(job, question) for job, question in planned))
    return [each.key for answer in answers for each in answer if isinstance(each, Reading)]


async def _ask_twice(jobs: Sequence[Job], runtime: Runtime) -> None:
    """Run all questions at once, and confirm failures of targets that answer otherwise."""
    await _ask(jobs, runtime)
    view = runtime.watcher.evaluate()

    def is_doubtful(job: Job) -> bool:
        records = (view.snapshot.records[name] for name in job.targets)
        return job.probe in _CONFIRMED and any(
            job.probe in record.failing and Probe.HEAD not in record.failing for record in records
        )

    await _ask([job for job in jobs if is_doubtful(job)], runtime)


async def _read_all(jobs: Sequence[Job], runtime: Runtime) -> None:
    """Read the next accounts until none is left; what failed is not retried."""
    tried: set[AccountKey] = set()
    while not tried.issuperset(batch := await _ask(jobs, runtime)):
        tried.update(batch)
        runtime.watcher.evaluate()  # a failed source is not used for the rest


async def _cross_check(runtime: Runtime, view: View) -> dict[str, CrossCheck]:
    """Ask the targets with a second client; returns what came of it, by name."""
    threads = Threads("second-client", _SECOND_CLIENTS, spare=len(runtime.targets))
    at_once = asyncio.Semaphore(_SECOND_CLIENTS)

    async def ask(name: str, target: OpenTarget) -> CrossCheck | None:
        async with at_once:
            return await target.cross_check(view.judgement.verdicts[name].head, threads)

    try:
        targets = runtime.targets
        results = await asyncio.gather(*(ask(name, target) for name, target in targets.items()))
    finally:
        threads.shutdown()
    return {name: each for name, each in zip(targets, results, strict=True) if each is not None}


def _cross_check_text(second: Mapping[str, CrossCheck]) -> str:
    """A line for each target."""
    if not second:
        return "Nothing to cross-check: there is no liteserver."
    lines = [f"{name}: {each.detail}" for name, each in second.items()]
    if any(each.agrees is False for each in second.values()):
        lines.append(_DISAGREE)
    return "\n".join(lines)


def _as_json(name: str, each: CrossCheck) -> dict[str, str | bool | None]:
    return {"target": name, "agrees": each.agrees, "detail": each.detail}


def _text(view: View, errors: Sequence[InternalError]) -> str:
    """The tables, the diagnosis and the findings."""
    wallet_status = view.judgement.wallet_status
    tables = [_table(_TARGETS, map(_row, view.judgement.verdicts.values()))]
    if wallet_status.wallets:
        rows = (row for wallet in wallet_status.wallets.values() for row in _wallet_rows(wallet))
        tables.append(_table(_WALLETS, rows))
    if wallet_status.contracts:
        tables.append(_table(_CONTRACTS, map(_contract_row, wallet_status.contracts.values())))
    lines = [f"{view.diagnosis.cause}: {_words(view.diagnosis.finding)}"]
    lines += [f"Also: {_words(finding)}" for finding in view.diagnosis.also]
    lines += [f"tonwatch itself has a bug: its {error.component} failed." for error in errors]
    return "\n\n".join([*tables, "\n".join(lines)])


def _words(finding: Finding) -> str:
    """What is wrong, and what it means."""
    return f"{finding.sentence} {finding.impact}".rstrip()


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
            *_proven_and_source(reading),
            "below the minimum" if holding.low else _detail(holding),
        )


def _contract_row(contract: ContractVerdict) -> _Row:
    code = {True: "as expected", False: "changed", None: "-"}[contract.matches]
    reading = contract.reading
    detail = _trouble(reading, contract.trouble)
    if contract.matches is False and reading is not None:
        detail = f"has {reading.code_hash.hex()}" if reading.code_hash else "has no code"
    return contract.name, _state(reading), code, *_proven_and_source(reading), detail


def _state(reading: Reading | None) -> str:
    return reading.status or "-" if reading is not None else "-"


def _proven_and_source(reading: Reading | None) -> tuple[str, str]:
    if reading is None:
        return "-", "-"
    return "yes" if reading.proven else "no", reading.source


def _detail(holding: Holding) -> str:
    """Why an asset is not known, or what cannot be done with it."""
    reading = holding.reading
    if reading is None:
        return holding.trouble
    if reading.kind is WalletKind.UNKNOWN:
        return UNKNOWN_CODE
    if holding.currency is not None:
        return NOT_COUNTED.format(holding.currency)
    return UNCLAIMED if reading.claimed is False else ""


def _trouble(reading: Reading | None, trouble: str) -> str:
    """Why an account is not known; empty where it is."""
    return trouble if reading is None else ""


def _amount(holding: Holding, units: int | None) -> str:
    return "-" if units is None else holding.written(units)


def command(options: argparse.Namespace, loading: Loading) -> int:
    """``tonwatch check``; returns the exit code."""
    config = loading.load_to_watch(options)
    # The tables have all results; only internal errors are logged.
    logs.configure(config.log.model_copy(update={"level": "error"}))
    checking = check(config, as_json=options.json, cross_check=options.cross_check)
    return OK if asyncio.run(checking) else PROBLEM
