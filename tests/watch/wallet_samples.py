"""Readings and payout progress of wallets, for a store that the test fills."""

from dataclasses import replace
from typing import Any

from tonwatch.samples.account import AccountKey, Reading
from tonwatch.samples.payouts import PayoutProgress, Totals, Trouble, TroubleKind
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason

COIN = 10**9
USDT = 10**6
CODE = bytes(31) + b"\x01"
LAST = TransactionId(1000, bytes(32))

CONFIG = {
    "providers": [{"name": "provider", "kind": "toncenter-v2", "url": "http://127.0.0.1"}],
    "wallets": [
        {
            "name": "payouts",
            "address": str(Address(0, b"p" * 32)),
            "minimum": "250.5",
            "jettons": [
                {
                    "name": "usdt",
                    "master": str(Address(0, b"m" * 32)),
                    "decimals": 6,
                    "minimum": 1000,
                }
            ],
        },
        {"name": "spare", "address": str(Address(0, b"s" * 32))},
    ],
    "contracts": [
        {"name": "escrow", "address": str(Address(0, b"e" * 32)), "code_hash": CODE.hex()}
    ],
}


def key(name: str = "payouts", asset: str = "native") -> AccountKey:
    return AccountKey(name, asset)


def reading(clock: Any, of: AccountKey, amount: int | None, **observed: Any) -> Reading:
    """A reading of an active account, as of now."""
    made = Reading(
        key=of,
        source="node",
        started=clock.wall_time,
        finished=clock.monotonic_time,
        account=Address(0, b"p" * 32),
        status=AccountStatus.ACTIVE,
        amount=amount,
        proven=True,
        block=4711,
        time=int(clock.wall_time) - 1,
        last=LAST,
        code_hash=CODE,
        kind=WalletKind.V4R2 if of.asset == "native" else None,
    )
    return replace(made, **observed)


def failure(clock: Any, of: AccountKey, reason: Reason, detail: str = "as it is") -> Reading:
    """A failed reading."""
    return Reading(
        key=of,
        source="node",
        started=clock.wall_time,
        finished=clock.monotonic_time,
        reason=reason,
        detail=detail,
    )


def trouble(clock: Any, kind: str, age: float = 10.0, **more: Any) -> Trouble:
    """A payout that failed or bounced `age` seconds ago."""
    failed = {"phase": "action", "code": 37} if kind == "failed" else {"phase": "", "code": None}
    return Trouble(
        time=int(clock.wall_time - age), kind=TroubleKind(kind), lt=4711, **(failed | more)
    )


def progress(clock: Any, of: AccountKey, *troubles: Trouble, **more: Any) -> PayoutProgress:
    """Progress of counting payouts."""
    totals = more.pop("totals", Totals(recent=troubles))
    return PayoutProgress(
        key=of,
        finished=clock.monotonic_time,
        totals=totals,
        since=int(clock.wall_time) - 3600,
        **({"cursor": LAST} | more),
    )
