"""What is wrong with wallets, payouts and contracts, in sentences with numbers.

A wallet that cannot be read is not low: what is not known is not reported as wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from tonwatch.config.models import Thresholds
from tonwatch.samples.payouts import Trouble, TroubleKind
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.planner import can_be_read, idle_write_probe
from tonwatch.watch.sentences import duration
from tonwatch.watch.verdicts import Judgement
from tonwatch.watch.wallet_verdicts import ContractVerdict, WalletVerdict

MEANINGS: Final = {
    ("compute", -14): "out of gas",
    ("compute", 137): "a v5 wallet sends only with mode 2",
    ("action", 32): "the list of actions is not valid",
    ("action", 34): "an action is not valid or not supported",
    ("action", 36): "the destination's address is not valid",
    ("action", 37): "not enough {coin}",
    ("action", 38): "not enough other currencies",
    ("action", 40): "not enough {coin} for the fees",
}
"""Exit and result codes of failed payouts. Source: the TVM's list of exit codes."""

_SHOWN: Final = 5
"""Failed or bounced payouts that are quoted as evidence."""

NAMED: Final = 5
"""Accounts with the same problem that have a finding each; one more stands for the others."""


class _Problem(NamedTuple):
    """What can be wrong with a wallet: whether it is, the sentence, and the evidence."""

    holds: Callable[[WalletVerdict, Thresholds], object]
    sentence: Callable[[WalletVerdict, Thresholds], str]
    evidence: Callable[[WalletVerdict], Iterable[str]]


def wallet_findings(judgement: Judgement, thresholds: Thresholds) -> Iterator[Finding]:
    """Everything that is wrong with any wallet or contract."""
    now, wallet_status = judgement.wall, judgement.wallet_status
    readable = can_be_read(judgement)
    for cause, problem in _PROBLEMS.items():
        if cause is Cause.WALLET_READ_FAILING and not readable:
            continue  # why no target can be queried is a finding of its own
        affected = [w for w in wallet_status.wallets.values() if problem.holds(w, thresholds)]
        for wallet in affected[:NAMED]:
            yield Finding(
                cause,
                problem.sentence(wallet, thresholds),
                now,
                account=wallet.name,
                evidence=tuple(problem.evidence(wallet)),
            )
        if len(affected) > NAMED:
            yield _others(cause, [wallet.name for wallet in affected[NAMED:]], now)
    for contract in wallet_status.contracts.values():
        yield from _of_contract(contract, now, readable=readable)


def _others(cause: Cause, names: Sequence[str], now: float) -> Finding:
    shown = ", ".join(names[:NAMED])
    and_so_on = " and so on" if len(names) > NAMED else ""
    return Finding(
        cause,
        f"{len(names)} more wallets have the same problem: {shown}{and_so_on}.",
        now,
        others=tuple(names),
    )


def _of_contract(contract: ContractVerdict, now: float, *, readable: bool) -> Iterator[Finding]:
    if contract.matches is False and contract.reading is not None:
        found = contract.reading.code_hash
        words = f"has unexpected code: {found.hex()}" if found else "has no code"
        yield Finding(
            Cause.CONTRACT_CHANGED,
            f"Contract {contract.name} {words} (it is {contract.reading.status}).",
            now,
            account=contract.name,
            evidence=(
                f"expected: {contract.expected.hex()}",
                f"read from {contract.reading.source}",
            ),
        )
    elif readable and contract.reading is None and contract.trouble:
        yield Finding(
            Cause.WALLET_READ_FAILING,
            f"Contract {contract.name} cannot be read ({contract.trouble}).",
            now,
            account=contract.name,
        )


def _failing(wallet: WalletVerdict, thresholds: Thresholds) -> str:
    return (
        f"Payouts of wallet {wallet.name} fail: {len(wallet.failed)} in the last"
        f" {duration(thresholds.payout_window)}, {_codes(wallet.failed, wallet.coin)}."
    )


def _bouncing(wallet: WalletVerdict, thresholds: Thresholds) -> str:
    return (
        f"Payouts of wallet {wallet.name} bounce: {len(wallet.bounced)} in the last"
        f" {duration(thresholds.payout_window)} were rejected by their receivers."
    )


def _read_failing(wallet: WalletVerdict, _: Thresholds) -> str:
    assets = " and ".join(holding.asset for holding in wallet.read_failing)
    return (
        f"The {assets} of wallet {wallet.name} cannot be read ({wallet.read_failing[0].trouble})."
    )


def _low(wallet: WalletVerdict, _: Thresholds) -> str:
    parts = [
        f"{holding.written(holding.amount or 0)} where {holding.written(holding.minimum or 0)}"
        " are needed"
        for holding in wallet.low
    ]
    return f"Wallet {wallet.name} is low: it holds {' and '.join(parts)}."


def _standing(wallet: WalletVerdict) -> Iterator[str]:
    for holding in wallet.holdings.values():
        reading = holding.reading
        if reading is not None and reading.amount is not None:
            proof = "proven" if reading.proven else "not proven"
            status = "" if reading.status is None else f", {reading.status}"
            yield (
                f"{holding.asset}: {holding.written(reading.amount)}{status}, {proof},"
                f" read from {reading.source}"
            )


def _codes(troubles: Sequence[Trouble], coin: str) -> str:
    counts = Counter(_what(trouble, coin) for trouble in troubles)
    return ", ".join(f"{what} ({count})" for what, count in counts.most_common(3))


def _what(trouble: Trouble, coin: str) -> str:
    """What went wrong with a payout: ``action phase 37: not enough TON``."""
    if trouble.kind is TroubleKind.BOUNCED:
        return "bounced"
    if trouble.kind is TroubleKind.MESSAGE_SKIPPED:
        return f"message skipped: not enough {coin}, or no valid destination"
    if trouble.kind is TroubleKind.COMPUTE_SKIPPED:
        return f"compute phase skipped: {trouble.skipped}"
    words = f"{trouble.phase} phase {trouble.code}"
    meaning = MEANINGS.get((trouble.phase, trouble.code or 0))
    return f"{words}: {meaning.format(coin=coin)}" if meaning else words


def _events(troubles: Sequence[Trouble], coin: str) -> Iterator[str]:
    for each in troubles[-_SHOWN:]:
        yield f"transaction {each.lt}: {_what(each, coin)}"


def _reasons(wallet: WalletVerdict) -> Iterator[str]:
    return (f"{holding.asset}: {holding.trouble}" for holding in wallet.read_failing)


_PROBLEMS: Final = {
    Cause.WALLET_FROZEN: _Problem(
        lambda wallet, _: wallet.frozen,
        lambda wallet, _: (
            f"Wallet {wallet.name} is frozen: it can neither pay nor be paid until it is"
            " unfrozen with its own code and data."
        ),
        _standing,
    ),
    Cause.WALLET_LOW: _Problem(lambda wallet, _: wallet.low, _low, _standing),
    Cause.PAYOUTS_FAILING: _Problem(
        lambda wallet, limits: len(wallet.failed) >= limits.payout_failures,
        _failing,
        lambda wallet: _events(wallet.failed, wallet.coin),
    ),
    Cause.PAYOUTS_BOUNCING: _Problem(
        lambda wallet, limits: len(wallet.bounced) >= limits.payout_bounces,
        _bouncing,
        lambda wallet: _events(wallet.bounced, wallet.coin),
    ),
    Cause.WALLET_READ_FAILING: _Problem(
        lambda wallet, _: wallet.read_failing, _read_failing, _reasons
    ),
    Cause.PAYOUTS_GAP: _Problem(
        lambda wallet, _: wallet.gaps,
        lambda wallet, _: (
            f"Payouts of wallet {wallet.name} are not all counted: every source pruned history of"
            f" its {' and '.join(wallet.gaps)} before it was read."
        ),
        lambda _: (),
    ),
    Cause.PAYOUTS_BACKLOG: _Problem(
        lambda wallet, limits: wallet.backlog >= limits.payout_backlog,
        lambda wallet, _: (
            f"{wallet.backlog} transactions of wallet {wallet.name} are not counted yet: its"
            " totals lag."
        ),
        lambda _: (),
    ),
    Cause.WRITE_PROBE_IDLE: _Problem(
        lambda wallet, _: idle_write_probe(wallet),
        lambda wallet, _: (
            f"The write path is not probed with wallet {wallet.name}: {idle_write_probe(wallet)}."
            " Take another wallet for `write_probe`, or none."
        ),
        lambda _: (),
    ),
}
