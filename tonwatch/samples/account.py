"""What one look at one account shows: a wallet's coins, its jettons, or a contract."""

from dataclasses import dataclass
from typing import NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason


class AccountKey(NamedTuple):
    """What is watched, by its configured names; `asset` is empty for a contract."""

    name: str
    asset: str


class Watched(NamedTuple):
    """An account to be read.

    Attributes:
        key: how it is called.
        account: the wallet's or the contract's address.
        master: of the jetton; None for coins and for a contract.
    """

    key: AccountKey
    account: Address
    master: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One account, as one source told of it. None where it did not tell, or not this kind tells.

    Attributes:
        key: what was read.
        source: configured name of the target that told; empty where none could be asked.
        started: when it was asked, Unix seconds.
        finished: when it was told, on the event loop's clock.
        reason: ``ok`` or the kind of failure.
        detail: what failed, in one line; empty when ok.
        account: the address that was read; a jetton's own wallet for a jetton.
        status: of that account.
        amount: what is held, in smallest units; 0 where there is no account.
        proven: the amount follows by Merkle proofs from a block, not from somebody's word.
        block: seqno of the masterchain block that it belongs to.
        time: when that state was made, Unix seconds.
        last: the account's newest transaction.
        code_hash: of an active account.
        kind: of wallet, by its code.
        seqno: a wallet's next one.
        last_clean: when a highload wallet last forgot old queries, Unix seconds.
        bug: the traceback, where a bug of ours kept it from being read. For the log alone.
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
    bug: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK
