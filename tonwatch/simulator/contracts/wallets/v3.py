"""Wallet v3, both revisions."""

from typing import Final

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.wallets.common import (
    Signer,
    Storage,
    check_with_seqno,
    code_cell,
    sign_with_seqno,
)
from tonwatch.ton.cells.cell import Cell, cell

CODE_R1: Final = code_cell(
    "te6ccgEBAQEAYgAAwP8AIN0gggFMl7qXMO1E0NcLH+Ck8mCDCNcYINMf0x/TH/gjE7vyY+1E0NMf0x/T/9FRMr"
    "ryoVFEuvKiBPkBVBBV+RDyo/gAkyDXSpbTB9QC+wDo0QGkyMsfyx/L/8ntVA=="
)

CODE_R2: Final = code_cell(
    "te6ccgEBAQEAcQAA3v8AIN0gggFMl7ohggEznLqxn3Gw7UTQ0x/THzHXC//jBOCk8mCDCNcYINMf0x/TH/gjE7"
    "vyY+1E0NMf0x/T/9FRMrryoVFEuvKiBPkBVBBV+RDyo/gAkyDXSpbTB9QC+wDo0QGkyMsfyx/L/8ntVA=="
)


def data(storage: Storage) -> Cell:
    """The wallet's storage."""
    return cell(
        storage.seqno.to_bytes(4, "big") + storage.subwallet.to_bytes(4, "big") + storage.key
    )


def accept(stored: Cell, body: Cell, now: int) -> None:
    """The checks before ``accept_message``, in the contract's action."""
    check_with_seqno(stored, body, now, expired=35)


def signed_body(signer: Signer, messages: tuple[Cell, ...]) -> Cell:
    """The body of an external message that makes the wallet send `messages`."""
    return sign_with_seqno(signer, messages, CellBuilder())
