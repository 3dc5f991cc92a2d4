"""Wallets and contracts in the /health document. Amounts are strings: JSON's numbers are not exact.

For each asset ``amount`` is in smallest units and ``balance`` is the same in whole units.
"""

from typing import Any, Final

from tonwatch.config.amounts import NATIVE_DECIMALS, written
from tonwatch.config.models import Config
from tonwatch.samples.account import Reading
from tonwatch.samples.payouts import OTHER_CODE, PayoutProgress, Trouble
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.watch.planner import idle_write_probe
from tonwatch.watch.sentences import rfc3339
from tonwatch.watch.view import View
from tonwatch.watch.wallet_verdicts import ContractVerdict, Holding, WalletVerdict

RECENT: Final = 10
"""Failed or bounced payouts of each account in the document, which would take megabytes else."""


def age(view: View, reading: Reading | None) -> float | None:
    """Age of the block that was read, seconds; None where not known.

    Corrected by the local clock's offset where that is known to be wrong.
    """
    if reading is None or reading.time is None:
        return None
    return max(0.0, view.snapshot.wall + (view.judgement.clock_offset or 0.0) - reading.time)


def friendly(address: Address, config: Config) -> str:
    """An address in the configured network's user-friendly form."""
    return address.friendly(test_only=config.network == "testnet")


def wallets(view: View) -> list[dict[str, Any]]:
    """Every wallet, in the order of the configuration."""
    return [_wallet(wallet, view) for wallet in view.judgement.wallet_status.wallets.values()]


def contracts(view: View) -> list[dict[str, Any]]:
    """Every contract, in the order of the configuration."""
    return [
        _contract(contract, view) for contract in view.judgement.wallet_status.contracts.values()
    ]


def _wallet(wallet: WalletVerdict, view: View) -> dict[str, Any]:
    reading = wallet.reading
    return {
        "name": wallet.name,
        "address": friendly(wallet.account, view.config),
        "state": reading.status if reading else None,
        "kind": reading.kind if reading else None,
        "seqno": reading.seqno if reading else None,
        "last_clean": _time(reading.last_clean if reading else None),
        "subwallet": reading.subwallet if reading else None,
        "signers": reading.signers if reading else None,
        "threshold": reading.threshold if reading else None,
        "locked": _decimal(reading.locked if reading else None, NATIVE_DECIMALS),
        "low": bool(wallet.low),
        "frozen": wallet.frozen,
        "write_probe_idle": idle_write_probe(wallet),
        "payouts_failed": len(wallet.failed),
        "payouts_bounced": len(wallet.bounced),
        "assets": [_asset(holding, view) for holding in wallet.holdings.values()],
    }


def _asset(holding: Holding, view: View) -> dict[str, Any]:
    reading = holding.reading
    account = reading.account if reading else None
    return {
        "asset": holding.asset,
        "currency": holding.currency,
        "decimals": holding.decimals,
        "amount": _units(holding.amount),
        "balance": _decimal(holding.amount, holding.decimals),
        "minimum_amount": _units(holding.minimum),
        "minimum": _decimal(holding.minimum, holding.decimals),
        "low": holding.low,
        "account": friendly(account, view.config) if account else None,
        "state": reading.status if reading else None,
        "jetton": reading.jetton if reading else None,
        "claimed": reading.claimed if reading else None,
        **_read(reading, holding.trouble, view),
        "payouts": _payouts(holding, holding.progress) if holding.progress else None,
    }


def _contract(contract: ContractVerdict, view: View) -> dict[str, Any]:
    reading = contract.reading
    return {
        "name": contract.name,
        "address": friendly(contract.account, view.config),
        "state": reading.status if reading else None,
        "code_hash": reading.code_hash.hex() if reading and reading.code_hash else None,
        "expected_code_hash": contract.expected.hex(),
        "matches": contract.matches,
        **_read(reading, contract.trouble, view),
    }


def _read(reading: Reading | None, trouble: str, view: View) -> dict[str, Any]:
    """Its source, its block, and the age of that."""
    seconds = age(view, reading)
    return {
        "proven": reading.proven if reading else None,
        "source": reading.source if reading else None,
        "block_seqno": reading.block if reading else None,
        "block_time": _time(reading.time if reading else None),
        "age_seconds": None if seconds is None else round(seconds, 1),
        "trouble": trouble or None,
    }


def _payouts(holding: Holding, progress: PayoutProgress) -> dict[str, Any]:
    totals = progress.totals
    return {
        "since": rfc3339(progress.since),
        "opening": _units(progress.opening),
        "sent_amount": str(totals.sent_amount),
        "received_amount": str(totals.received_amount),
        "bounced_amount": str(totals.bounced_amount),
        "fees_amount": str(totals.fees_amount),
        "in_flight_amount": str(totals.in_flight_amount),
        "sent_messages": totals.sent_messages,
        "skipped_messages": totals.skipped_messages,
        "bounced_messages": totals.bounced_messages,
        "transactions": totals.transactions,
        "failed_transactions": [
            {"phase": phase, "code": _code(code), "count": count}
            for (phase, code), count in totals.failed_transactions.items()
        ],
        "compute_skipped": dict(totals.compute_skipped),
        "history_gaps": totals.history_gaps,
        "backlog": holding.backlog,
        "cursor": _transaction(progress.cursor),
        "last_transaction": _time(totals.last_time),
        "reason": progress.reason,
        "detail": progress.detail or None,
        "recent": [_trouble(each) for each in reversed(totals.recent[-RECENT:])],
    }


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "time": _time(trouble.time),
        "kind": trouble.kind,
        "phase": trouble.phase or None,
        "code": trouble.code,
        "skipped": trouble.skipped or None,
        "lt": str(trouble.lt),
    }


def _transaction(transaction: TransactionId) -> dict[str, str]:
    return {"lt": str(transaction.lt), "hash": transaction.hash.hex()}


def _code(code: int) -> int | None:
    return None if code == OTHER_CODE else code


def _units(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _decimal(amount: int | None, decimals: int) -> str | None:
    return None if amount is None else written(amount, decimals).replace(",", "")


def _time(wall: int | None) -> str | None:
    return None if wall is None else rfc3339(wall)
