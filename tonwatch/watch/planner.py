"""What to query next, and at which target: pure functions of a judgement.

Nothing else decides which target a job queries.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.samples.account import AccountKey
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.wallets import REJECTIONS, WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.consensus import NEAR_HEAD
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.verdicts import Judgement, Verdict
from tonwatch.watch.wallet_verdicts import Holding, WalletVerdict

COMPARED_WITHIN: Final = 10_000
"""Blocks of lag above which a target is left out of the comparison of the others."""

MESSAGE_GAS: Final = 20_000_000
"""Nanocoins with which every kind of wallet can run its checks; with 1,000,000 some cannot."""


class Round(NamedTuple):
    """Targets that are queried for the same at one block.

    Attributes:
        seqno: of a masterchain block that all of them have.
        targets: their names.
    """

    seqno: int
    targets: Sequence[str]


class Account(NamedTuple):
    """An account whose transactions can be counted.

    Attributes:
        key: its configured names.
        address: of the account.
        holding: what is known of it.
        wallet: that it belongs to.
    """

    key: AccountKey
    address: Address
    holding: Holding
    wallet: WalletVerdict


def fork_rounds(judgement: Judgement) -> list[Round]:
    """Whom to query for which block: all targets, and before that those near the head alone.

    The newest block that all have may be older than a fork, where one of them lags.
    """
    if judgement.head is None:
        return []
    compared = comparable(judgement)
    lowest = judgement.head.seqno - NEAR_HEAD
    near = [v for v in compared if v.head is not None and v.head.seqno >= lowest]
    rounds = []
    for verdicts in (near, compared) if len(near) < len(compared) else (compared,):
        seqno = _common_seqno(verdicts)
        if seqno is not None:
            rounds.append(Round(seqno, [verdict.target.name for verdict in verdicts]))
    return rounds


def is_forked(judgement: Judgement) -> bool:
    """Whether targets have different blocks at one seqno."""
    forks = judgement.forks
    return bool(forks.minority or forks.undecided) or forks.unsettled


def comparable(judgement: Judgement) -> list[Verdict]:
    """The targets of this network that answer and lag too little to be left out."""
    if judgement.head is None:
        return []
    oldest = judgement.head.seqno - COMPARED_WITHIN
    return [
        verdict
        for verdict in judgement.verdicts.values()
        if verdict.head is not None
        and verdict.head.seqno >= oldest
        and verdict.state is not State.WRONG_NETWORK
    ]


def _common_seqno(verdicts: Sequence[Verdict]) -> int | None:
    """The highest seqno that all of them have; None where there are not two."""
    heads = [verdict.head.seqno for verdict in verdicts if verdict.head is not None]
    return min(heads) if len(heads) > 1 else None


def readable(judgement: Judgement) -> list[Verdict]:
    """The targets that accounts can be read from, the best first.

    A lagging target still answers what was true at its block; one on another chain, or with a
    false claim, is not queried.
    """
    up = [verdict for verdict in judgement.verdicts.values() if verdict.up]
    return [v for when in ("now", "older") for v in up if MEANINGS[v.state].accounts == when]


def can_be_read(judgement: Judgement) -> bool:
    """Whether a target can be queried for accounts: an account not read then cannot be read.

    Where every source is flapping, that is why nothing can be read.
    """
    steady = any(verdict.state is not State.FLAPPING for verdict in readable(judgement))
    return steady and not judgement.unreachable and not judgement.excused


def comparison(judgement: Judgement) -> Round | None:
    """The targets to query for one account; None where there are none."""
    compared = [v for v in judgement.verdicts.values() if v.up and MEANINGS[v.state].compared]
    seqnos = [v.head.shard_client_seqno or v.head.seqno for v in compared if v.head is not None]
    if not seqnos:
        return None
    common = _common_seqno(comparable(judgement))
    seqno = min(seqnos if common is None else [common, *seqnos])
    return Round(seqno, [verdict.target.name for verdict in compared])


def are_accounts_wrong(judgement: Judgement) -> bool:
    """Whether a target that is compared fails to read accounts, or reads them falsely."""
    wrong = (State.PROOF_INVALID, State.DISPROVED, State.ACCOUNTS_FAILING)
    return any(
        verdict.up and verdict.state in wrong and verdict.reason is not Reason.FALSE_TIME
        for verdict in judgement.verdicts.values()
    )


def takes_messages(verdict: Verdict) -> bool:
    """Whether a failed write probe of a target counts against its handling of messages."""
    return verdict.up and MEANINGS[verdict.state].messages


UNKNOWN_CODE: Final = "unknown code: its seqno cannot be read, nor can it take a write probe"
"""What cannot be done with a wallet whose contract is not known; all else is as of others."""

UNCLAIMED: Final = "mintless: what is not claimed yet is not in the balance"
"""Said of a mintless jetton whose airdrop is not claimed, or that has none for this wallet."""

NOT_COUNTED: Final = "extra currency {}: payouts of it are not counted"
"""Said of an extra currency, with its id."""


class Unprobed(StrEnum):
    """Why a wallet cannot be sent a probe message."""

    UNREAD = "it has not been read yet"
    NOT_ACTIVE = "it is not deployed, or frozen"
    UNKNOWN_CODE = "its code is not that of a known kind of wallet"
    NO_MESSAGE = "no message is known that its kind of wallet must refuse"
    NO_GAS = "it has too little to run its checks"


def unprobed(wallet: WalletVerdict) -> Unprobed | None:
    """Why a wallet cannot reject a probe message; None where it can."""
    reading = wallet.reading
    if reading is None:
        return Unprobed.UNREAD
    if reading.status is not AccountStatus.ACTIVE:
        return Unprobed.NOT_ACTIVE
    if reading.kind is None or reading.kind is WalletKind.UNKNOWN:
        return Unprobed.UNKNOWN_CODE
    if reading.kind not in REJECTIONS:
        return Unprobed.NO_MESSAGE
    return Unprobed.NO_GAS if (reading.amount or 0) < MESSAGE_GAS else None


def idle_write_probe(wallet: WalletVerdict) -> Unprobed | None:
    """Why a wallet with `write_probe` is sent no probe message; None where it is.

    None also of a wallet that is frozen or not read: that is a finding of its own.
    """
    if not wallet.write_probe or wallet.frozen:
        return None
    why = unprobed(wallet)
    return None if why is Unprobed.UNREAD else why


def refusing(wallet: WalletVerdict) -> WalletKind | None:
    """The kind of a wallet that can reject a probe message; None where it cannot."""
    if wallet.reading is None or unprobed(wallet) is not None:
        return None
    return wallet.reading.kind


def uncounted(wallet: WalletVerdict) -> list[Account]:
    """The accounts of a wallet whose transactions are to be counted now.

    What is sent to the wallet's own jetton wallets is no payment in the native coin, so all of
    these must be known first; a jetton whose get method fails does not hold up the others.
    """
    jettons = [holding for holding in wallet.holdings.values() if holding.is_jetton]
    waiting = [h for h in jettons if h.reading is None and h.failure is not Reason.METHOD_FAILED]
    return [
        Account(AccountKey(wallet.name, asset), holding.reading.account, holding, wallet)
        for asset, holding in wallet.holdings.items()
        if holding.currency is None
        and (holding.is_jetton or not waiting or holding.progress is not None)
        and holding.reading is not None
        and holding.reading.account is not None
        and not _is_counted(holding)
    ]


def _is_counted(holding: Holding) -> bool:
    """Whether nothing has happened since it was counted last."""
    progress, reading = holding.progress, holding.reading
    return (
        progress is not None
        and reading is not None
        and progress.ok
        and not progress.backlog
        and (reading.last is None or reading.last.lt <= progress.cursor.lt)
    )
