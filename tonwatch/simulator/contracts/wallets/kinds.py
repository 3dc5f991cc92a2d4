"""The kinds of wallets: code, storage, checks and signed messages of each.

The contracts are the public ones named in `tonwatch.ton.contracts.wallets`, as pytoniq ships them;
the checks are pure functions in the order of the contracts' own.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from nacl.signing import SigningKey

from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.contracts.wallets import highload_v2, highload_v3, v3, v4, v5
from tonwatch.simulator.contracts.wallets.common import (
    CELL_UNDERFLOW,
    DEFAULT_SUBWALLET,
    DEFAULT_TIMEOUT,
    Signer,
    Storage,
)
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import BadAnswer


class WalletContract(NamedTuple):
    """One kind of wallet.

    Attributes:
        code: its code cell.
        data: writes its storage.
        accept: its checks before ``accept_message``: the storage, the body, Unix seconds.
        signed_body: writes the body of an external message to it.
        has_seqno: it has the get method ``seqno``.
        ignores_errors: it sends with mode 2, which v5r1 and highload v3 require.
    """

    code: Cell
    data: Callable[[Storage], Cell]
    accept: Callable[[Cell, Cell, int], None]
    signed_body: Callable[[Signer, tuple[Cell, ...]], Cell]
    has_seqno: bool = True
    ignores_errors: bool = False


CONTRACTS: Final[Mapping[WalletKind, WalletContract]] = {
    WalletKind.V3R2: WalletContract(v3.CODE_R2, v3.data, v3.accept, v3.signed_body),
    WalletKind.V4R2: WalletContract(v4.CODE, v4.data, v4.accept, v4.signed_body),
    WalletKind.V5R1: WalletContract(
        v5.CODE, v5.data, v5.accept, v5.signed_body, ignores_errors=True
    ),
    WalletKind.HIGHLOAD_V3: WalletContract(
        highload_v3.CODE,
        highload_v3.data,
        highload_v3.accept,
        highload_v3.signed_body,
        has_seqno=False,
        ignores_errors=True,
    ),
    WalletKind.V3R1: WalletContract(v3.CODE_R1, v3.data, v3.accept, v3.signed_body),
    WalletKind.HIGHLOAD_V2: WalletContract(
        highload_v2.CODE,
        highload_v2.data,
        highload_v2.accept,
        highload_v2.signed_body,
        has_seqno=False,
        ignores_errors=True,
    ),
}

KINDS: Final = tuple(CONTRACTS)
"""A network's wallets have these kinds in turn."""

CODES: Final[Mapping[WalletKind, Cell]] = {
    kind: contract.code for kind, contract in CONTRACTS.items()
}
"""Code cells, with the hashes that `tonwatch.ton.contracts.wallets.CODE_HASHES` knows."""


def wallet_data(
    kind: WalletKind,
    key: bytes,
    *,
    seqno: int = 0,
    subwallet: int = DEFAULT_SUBWALLET,
    last_clean: int = 0,
    timeout: int = DEFAULT_TIMEOUT,
) -> Cell:
    """A wallet's storage; the arguments are those of `Storage`."""
    return CONTRACTS[kind].data(Storage(key, seqno, subwallet, last_clean, timeout))


def accept_external(kind: WalletKind, data: Cell, body: Cell, now: int) -> None:
    """Run the checks of a wallet up to its ``accept_message``.

    Args:
        kind: of the wallet.
        data: what it stores.
        body: of the external message.
        now: the block's time, Unix seconds.

    Raises:
        ContractThrew: it does not accept the message.
    """
    try:
        CONTRACTS[kind].accept(data, body, now)
    except BadAnswer:
        raise ContractThrew(CELL_UNDERFLOW) from None


def signed_body(
    kind: WalletKind, key: SigningKey, number: int, now: int, messages: tuple[Cell, ...]
) -> Cell:
    """The body of an external message that makes a wallet send `messages`.

    Args:
        kind: of the wallet.
        key: its owner's.
        number: the wallet's seqno; for a highload wallet how many messages there were before.
        now: Unix seconds.
        messages: what it is to send; highload wallets send one at most.
    """
    return CONTRACTS[kind].signed_body(Signer(key, number, now), messages)
