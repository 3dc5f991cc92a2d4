"""What real contracts do when an external message arrives, and what they store.

Pure functions in the order of the contracts' own checks; the contracts are those named in
`tonwatch.ton.wallets`. Nothing is sent: what follows acceptance is for the simulated world.
"""

from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell, Slice, cell
from tonwatch.ton.errors import BadAnswer
from tonwatch.ton.transactions import rest
from tonwatch.ton.wallets import WalletKind

DEFAULT_SUBWALLET: Final = 698983191
DEFAULT_TIMEOUT: Final = 3600
"""Seconds for which a highload v3 wallet remembers a query."""

_CELL_UNDERFLOW: Final = 9
_SIGNED_EXTERNAL: Final = 0x7369676E
_QUERIES: Final = 1023
"""Queries that share one cell of a highload v3 wallet."""


class ContractThrew(Exception):
    """The contract ended with an exit code before it accepted the message."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


def wallet_data(
    kind: WalletKind,
    key: bytes,
    *,
    seqno: int = 0,
    subwallet: int = DEFAULT_SUBWALLET,
    last_clean: int = 0,
    timeout: int = DEFAULT_TIMEOUT,
) -> Cell:
    """A wallet's storage: no plugins, extensions or queries.

    Args:
        kind: of the wallet.
        key: its public key, 32 bytes.
        seqno: of the next message; highload wallets have none.
        subwallet: its number, or a v5 wallet's id.
        last_clean: Unix seconds; of highload wallets only.
        timeout: seconds; of highload v3 wallets only.
    """
    number, owner = seqno.to_bytes(4, "big"), subwallet.to_bytes(4, "big")
    match kind:
        case WalletKind.V3R1 | WalletKind.V3R2:
            return cell(number + owner + key)
        case WalletKind.V4R2:
            return cell(number + owner + key, tail="0")
        case WalletKind.V5R1:
            return cell(number + owner + key, head="1", tail="0")
        case WalletKind.HIGHLOAD_V2:
            return cell(owner + (last_clean << 32).to_bytes(8, "big") + key, tail="0")
        case WalletKind.HIGHLOAD_V3:
            return cell(key + owner, tail=f"00{last_clean:064b}{timeout:022b}")


def jetton_wallet_data(
    balance: int,
    owner: Address,
    master: Address,
    *,
    code: Cell | None = None,
    status: int = 0,
) -> Cell:
    """A jetton wallet's storage.

    Args:
        balance: in the jetton's smallest units.
        owner: of the wallet.
        master: of the jetton.
        code: the wallet's own code, which makes it TEP-74's reference; without, it is a
            stablecoin's.
        status: a stablecoin's four bits: 1 cannot send, 2 cannot receive.
    """
    writer = Writer() if code is not None else Writer().uint(status, 4)
    writer.coins(balance).address(owner).address(master)
    return writer.cell() if code is None else writer.ref(code).cell()


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
        match kind:
            case WalletKind.V3R1 | WalletKind.V3R2:
                _simple(data, body, now, expired=35)
            case WalletKind.V4R2:
                _simple(data, body, now, expired=36, plugins=True)
            case WalletKind.V5R1:
                _v5(data, body, now)
            case WalletKind.HIGHLOAD_V2:
                _highload_v2(data, body, now)
            case WalletKind.HIGHLOAD_V3:
                _highload_v3(data, body, now)
    except BadAnswer:
        raise ContractThrew(_CELL_UNDERFLOW) from None


def _simple(data: Cell, body: Cell, now: int, *, expired: int, plugins: bool = False) -> None:
    """v3 and v4."""
    message = Slice(body)
    signature = message.take(64)
    signed = rest(message)
    asked = Slice(signed)
    subwallet, valid_until, seqno = asked.uint(32), asked.uint(32), asked.uint(32)
    _throw_if(expired, valid_until <= now)
    stored = Slice(data)
    stored_seqno, stored_subwallet, key = stored.uint(32), stored.uint(32), stored.take(32)
    if plugins:
        stored.maybe_ref()
    _end(stored)
    _throw_if(33, seqno != stored_seqno)
    _throw_if(34, subwallet != stored_subwallet)
    _throw_if(35, not _signed_by(key, signed, signature))


def _v5(data: Cell, body: Cell, now: int) -> None:
    message = Slice(body)
    whole = message.left
    _throw_if(138, message.uint(32) != _SIGNED_EXTERNAL)
    subwallet, valid_until, seqno = message.uint(32), message.uint(32), message.uint(32)
    # The signature is of all but the message's last 512 bits: itself.
    without = Slice(body)
    bits = without.uint(whole - 512) if whole >= 512 else 0
    signature = without.take(64)
    signed = cell(b"", *body.refs, head=f"{bits:0{whole - 512}b}" if whole > 512 else "")
    stored = Slice(data)
    allowed, stored_seqno, stored_subwallet = stored.bit(), stored.uint(32), stored.uint(32)
    key, extended = stored.take(32), stored.bit()
    _throw_if(135, not _signed_by(key, signed, signature))
    _throw_if(132, not allowed and extended)
    _throw_if(133, seqno != stored_seqno)
    _throw_if(134, subwallet != stored_subwallet)
    _throw_if(136, valid_until <= now)


def _highload_v2(data: Cell, body: Cell, now: int) -> None:
    """Without the queries that it remembers: the simulator's wallets have none."""
    message = Slice(body)
    signature = message.take(64)
    signed = rest(message)
    asked = Slice(signed)
    subwallet, query = asked.uint(32), asked.uint(64)
    _throw_if(35, query < now << 32)
    stored = Slice(data)
    stored_subwallet = stored.uint(32)
    stored.uint(64)
    key = stored.take(32)
    stored.maybe_ref()
    _end(stored)
    _throw_if(34, subwallet != stored_subwallet)
    _throw_if(35, not _signed_by(key, signed, signature))
    asked.maybe_ref()
    _end(asked)


def _highload_v3(data: Cell, body: Cell, now: int) -> None:
    """Without the queries that it remembers: the simulator's wallets have none."""
    message = Slice(body)
    signed = message.ref()
    signature = message.take(64)
    _end(message)
    stored = Slice(data)
    key, stored_subwallet = stored.take(32), stored.uint(32)
    stored.maybe_ref()
    stored.maybe_ref()
    stored.uint(64)
    stored_timeout = stored.uint(22)
    _end(stored)
    _throw_if(33, not _signed_by(key, signed, signature))
    asked = Slice(signed)
    subwallet = asked.uint(32)
    asked.ref()
    asked.uint(8 + 13)
    query, created_at, timeout = asked.uint(10), asked.uint(64), asked.uint(22)
    _end(asked)
    _throw_if(34, subwallet != stored_subwallet)
    _throw_if(38, timeout != stored_timeout)
    _throw_if(35, created_at <= now - timeout)
    _throw_if(35, created_at > now)
    _throw_if(8, query >= _QUERIES)  # its bit overflows the cell


def _throw_if(code: int, condition: bool) -> None:
    if condition:
        raise ContractThrew(code)


def _end(fields: Slice) -> None:
    _throw_if(_CELL_UNDERFLOW, bool(fields.left or fields.refs_left))


def _signed_by(key: bytes, signed: Cell, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(signed.hash, signature)
    except BadSignatureError:
        return False
    return True
