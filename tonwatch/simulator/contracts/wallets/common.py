"""What the kinds of wallets share: what they store, how they check and sign messages."""

import base64
from typing import Final, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.contracts.transactions import rest

DEFAULT_SUBWALLET: Final = 698983191
DEFAULT_TIMEOUT: Final = 3600
"""Seconds for which a highload v3 wallet keeps a query."""

CELL_UNDERFLOW: Final = 9

SEND_MODE: Final = 1
"""Fees are paid on top of the value, and a message that cannot be sent is an error."""

VALID_FOR: Final = 60
"""Seconds for which a signed message can be executed."""


class Storage(NamedTuple):
    """What a wallet stores, without plugins, extensions or queries.

    Attributes:
        key: its public key, 32 bytes.
        seqno: of the next external message; highload wallets have none.
        subwallet: its number, or a v5 wallet's id.
        last_clean: Unix seconds; of highload wallets only.
        timeout: seconds; of highload v3 wallets only.
    """

    key: bytes
    seqno: int = 0
    subwallet: int = DEFAULT_SUBWALLET
    last_clean: int = 0
    timeout: int = DEFAULT_TIMEOUT


class Signer(NamedTuple):
    """Who signs an external message, and when.

    Attributes:
        key: the owner's.
        number: the wallet's seqno; for a highload wallet how many messages there were before.
        now: Unix seconds.
    """

    key: SigningKey
    number: int
    now: int

    def sign(self, cell: Cell) -> bytes:
        """64 bytes."""
        return self.key.sign(cell.hash).signature


def code_cell(bag: str) -> Cell:
    """A contract's code from base64."""
    return read_one(base64.b64decode(bag))


def throw_if(code: int, condition: bool) -> None:
    """Raise `ContractThrew`, as the contract's ``throw_if`` does."""
    if condition:
        raise ContractThrew(code)


def end_parse(fields: Slice) -> None:
    """Throw where something is left."""
    throw_if(CELL_UNDERFLOW, bool(fields.left or fields.refs_left))


def is_signed(key: bytes, signed: Cell, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(signed.hash, signature)
    except BadSignatureError:
        return False
    return True


# v3 and v4.


def check_with_seqno(
    data: Cell, body: Cell, now: int, *, expired: int, plugins: bool = False
) -> None:
    """The checks of v3 and v4 wallets.

    Args:
        data: what the wallet stores.
        body: of the external message.
        now: the block's time, Unix seconds.
        expired: exit code of a message that comes too late.
        plugins: the storage ends with a dictionary of plugins.

    Raises:
        ContractThrew: the wallet does not accept the message.
    """
    message = Slice(body)
    signature = message.take(64)
    signed = rest(message)
    asked = Slice(signed)
    subwallet, valid_until, seqno = asked.uint(32), asked.uint(32), asked.uint(32)
    throw_if(expired, valid_until <= now)
    stored = Slice(data)
    stored_seqno, stored_subwallet, key = stored.uint(32), stored.uint(32), stored.take(32)
    if plugins:
        stored.maybe_ref()
    end_parse(stored)
    throw_if(33, seqno != stored_seqno)
    throw_if(34, subwallet != stored_subwallet)
    throw_if(35, not is_signed(key, signed, signature))


def sign_with_seqno(signer: Signer, messages: tuple[Cell, ...], opcode: CellBuilder) -> Cell:
    """The body of an external message to a v3 or v4 wallet.

    Args:
        signer: signs it.
        messages: what the wallet is to send.
        opcode: what stands before the messages.
    """
    builder = CellBuilder().uint(DEFAULT_SUBWALLET, 32).uint(signer.now + VALID_FOR, 32)
    builder.uint(signer.number, 32).rest(opcode.cell())
    for message in messages:
        builder.uint(SEND_MODE, 8).ref(message)
    return signature_first(signer, builder.cell())


def signature_first(signer: Signer, signed: Cell) -> Cell:
    """The signature, then what is signed, in one cell."""
    return CellBuilder().take(signer.sign(signed)).rest(signed).cell()
