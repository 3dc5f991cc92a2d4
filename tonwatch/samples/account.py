"""Readings of accounts: native and jetton balances, and contracts."""

from dataclasses import dataclass
from typing import NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.jettons import JettonKind
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason


class AccountKey(NamedTuple):
    """An account by its configured names; `asset` is empty for a contract."""

    name: str
    asset: str


class Watched(NamedTuple):
    """An account to be read.

    Attributes:
        key: its configured names.
        account: the wallet's or the contract's address.
        master: of the jetton; None for all else.
        currency: id of the extra currency; None for all else.
    """

    key: AccountKey
    account: Address
    master: Address | None = None
    currency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One account as read from one source. None where it has no such value.

    Attributes:
        key: what was read.
        source: configured name of the target; empty without a usable one.
        started: when the query was sent, Unix seconds.
        finished: when it ended, on the event loop's clock.
        reason: ``ok`` or the kind of failure.
        detail: what failed, in one line; empty when ok.
        account: the address that was read; the jetton wallet for a jetton.
        status: of that account.
        amount: the balance, in smallest units; 0 where there is no account.
        proven: whether the amount is proven by Merkle proofs from a block.
        block: seqno of the masterchain block that it was read at.
        time: generation time of that state, Unix seconds.
        last: the account's newest transaction.
        code_hash: of an active account.
        kind: of wallet, by its code.
        seqno: a wallet's next one.
        last_clean: when a highload wallet last removed old queries, Unix seconds.
        subwallet: a wallet's number among those of its key.
        signers: how many can sign, of a multisig wallet.
        threshold: how many of them have to.
        jetton: kind of jetton wallet, by its code.
        claimed: of a mintless jetton, whether its airdrop is claimed.
        locked: nanocoins that a vesting or lockup wallet does not send to everybody yet.
        bug: the traceback of an internal error. For the log only.
    """

    key: AccountKey
    source: str
    started: float
    finished: float
    reason: Reason = Reason.OK
    detail: str = ""
    account: Address | None = None
    status: AccountStatus | None = None
    amount: int | None = None
    proven: bool = False
    block: int | None = None
    time: int | None = None
    last: TransactionId | None = None
    code_hash: bytes | None = None
    kind: WalletKind | None = None
    seqno: int | None = None
    last_clean: int | None = None
    subwallet: int | None = None
    signers: int | None = None
    threshold: int | None = None
    locked: int | None = None
    jetton: JettonKind | None = None
    claimed: bool | None = None
    bug: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK
