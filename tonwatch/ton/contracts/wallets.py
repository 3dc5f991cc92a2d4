"""Wallet contracts: their kinds, their storage, and a message that each of them refuses.

Such a message tests the path of payouts, without a key and without cost: the node has to run
the wallet's code on fresh state to find out that the wallet refuses it.

Source: the contracts themselves, ``ton-blockchain/ton`` (v3, highload v2),
``ton-blockchain/wallet-contract`` (v4), ``ton-blockchain/wallet-contract-v5`` and
``ton-blockchain/highload-wallet-contract-v3``.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, boc, cell
from tonwatch.ton.errors import BadAnswer

NOISE: Final = 64
"""Bytes of a signature."""


class WalletKind(StrEnum):
    """A wallet contract that is recognised by its code."""

    V3R1 = "v3r1"
    V3R2 = "v3r2"
    V4R2 = "v4r2"
    V5R1 = "v5r1"
    HIGHLOAD_V2 = "highload_v2"
    HIGHLOAD_V3 = "highload_v3"


CODE_HASHES: Final[Mapping[bytes, WalletKind]] = {
    bytes.fromhex(code_hash): kind
    for code_hash, kind in (
        ("b61041a58a7980b946e8fb9e198e3c904d24799ffa36574ea4251c41a566f581", WalletKind.V3R1),
        ("84dafa449f98a6987789ba232358072bc0f76dc4524002a5d0918b9a75d2d599", WalletKind.V3R2),
        ("feb5ff6820e2ff0d9483e7e0d62c817d846789fb4ae580c878866d959dabd5c0", WalletKind.V4R2),
        ("20834b7b72b112147e1b2fb457b84e74d1a30f04f737d4f62a668e9552d2b72f", WalletKind.V5R1),
        (
            "9494d1cc8edf12f05671a1a9ba09921096eb50811e1924ec65c3c629fbb80812",
            WalletKind.HIGHLOAD_V2,
        ),
        (
            "11acad7955844090f283bf238bc1449871f783e7cc0979408d3f4859483e8525",
            WalletKind.HIGHLOAD_V3,
        ),
    )
}
"""Representation hashes of the code."""


def kind_of(code_hash: bytes | None) -> WalletKind | None:
    """The kind of wallet with this code; None for an unknown code, or without code."""
    return CODE_HASHES.get(code_hash) if code_hash is not None else None


class WalletData(NamedTuple):
    """Replay protection in a wallet's storage.

    Attributes:
        seqno: of the next message; None in highload wallets, which have none.
        last_clean: Unix seconds of the newest query that a highload v2 wallet has forgotten,
            or at which a highload v3 wallet last did so; None in others, 0 for never.
    """

    seqno: int | None
    last_clean: int | None


def read_data(kind: WalletKind, data: Cell) -> WalletData:
    """Read a wallet's storage.

    Raises:
        BadAnswer: it is not laid out as this kind's.
        ProofInvalid: it is pruned.
    """
    fields = Slice(data)
    found = _read(kind, fields)
    if fields.left or fields.refs_left:
        raise BadAnswer(f"a {kind} wallet's storage has more in it than it should")
    return found


def _read(kind: WalletKind, fields: Slice) -> WalletData:
    match kind:
        case WalletKind.V3R1 | WalletKind.V3R2:
            seqno = fields.uint(32)
            fields.uint(32 + 256)  # subwallet and key
            return WalletData(seqno, None)
        case WalletKind.V4R2:
            seqno = fields.uint(32)
            fields.uint(32 + 256)
            fields.maybe_ref()  # plugins
            return WalletData(seqno, None)
        case WalletKind.V5R1:
            fields.bit()  # whether signatures are allowed
            seqno = fields.uint(32)
            fields.uint(32 + 256)
            fields.maybe_ref()  # extensions
            return WalletData(seqno, None)
        case WalletKind.HIGHLOAD_V2:
            fields.uint(32)
            last_clean = fields.uint(64) >> 32
            fields.uint(256)
            fields.maybe_ref()  # queries
            return WalletData(None, last_clean)
        case WalletKind.HIGHLOAD_V3:
            fields.uint(256 + 32)
            fields.maybe_ref()  # older queries
            fields.maybe_ref()  # queries
            last_clean = fields.uint(64)
            fields.uint(22)  # timeout
            return WalletData(None, last_clean)


REJECTIONS: Final[Mapping[WalletKind, frozenset[int]]] = {
    WalletKind.V3R1: frozenset({35}),
    WalletKind.V3R2: frozenset({35}),
    WalletKind.V4R2: frozenset({36}),
    WalletKind.V5R1: frozenset({135}),
    WalletKind.HIGHLOAD_V2: frozenset({35}),
    WalletKind.HIGHLOAD_V3: frozenset({33}),
}
"""Exit codes with which a wallet refuses an `unacceptable_message`.

Each is that of the wallet's first check, whatever the wallet stores: v3, v4 and highload v2
check the time first, v5 and highload v3 the signature.
"""

_EXPIRED: Final = (1).to_bytes(4, "big")
_IMPOSSIBLE_SEQNO: Final = b"\xff" * 4
_NO_SUBWALLET: Final = b"\xff" * 4
_SIGNED_EXTERNAL: Final = b"sign"


def unacceptable_message(kind: WalletKind, address: Address, noise: bytes) -> bytes:
    """An external message that a wallet of this kind refuses for more than one reason.

    It expired in 1970, its seqno or query id is impossible, and its signature is random. It
    has no messages to send.

    Args:
        kind: of the wallet.
        address: of the wallet.
        noise: the signature, `NOISE` random bytes, new each time: nodes drop duplicates.

    Returns:
        A bag of cells, as ``liteServer.sendMessage`` takes it.
    """
    if len(noise) != NOISE:
        raise ValueError(f"noise of {len(noise)} bytes where {NOISE} are needed")
    # ext_in_msg_info$10 from addr_none$00 to addr_std$10, no import fee, no init, body as ^Cell
    head = f"1000100{address.workchain & 0xFF:08b}"
    return boc(cell(address.hash, _body(kind, noise), head=head, tail="000001"))


def _body(kind: WalletKind, noise: bytes) -> Cell:
    match kind:
        case WalletKind.V3R1 | WalletKind.V3R2:
            return cell(noise + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO)
        case WalletKind.V4R2:
            simple_send = b"\0"
            return cell(noise + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO + simple_send)
        case WalletKind.V5R1:
            signed = _SIGNED_EXTERNAL + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO
            # No list of messages and no other actions; the signature is the last.
            return cell(noise, head="".join(f"{byte:08b}" for byte in signed) + "00")
        case WalletKind.HIGHLOAD_V2:
            expired_query = _EXPIRED + b"\xff" * 4
            return cell(noise + _NO_SUBWALLET + expired_query, tail="0")
        case WalletKind.HIGHLOAD_V3:
            mode, created_at = b"\0", bytes(4) + _EXPIRED
            # The impossible query id 8191:1023, and the longest timeout.
            tail = "1" * 23 + "".join(f"{byte:08b}" for byte in created_at) + "1" * 22
            return cell(noise, cell(_NO_SUBWALLET + mode, cell(), tail=tail))


_EXIT_CODE: Final = re.compile(r"\bexit[ _]?code\b\s*[=:]?\s*(-?\d{1,10})\b", re.IGNORECASE)


def exit_code(text: str) -> int | None:
    """The exit code in a node's error where a contract refused a message; None without one.

    Nodes write ``exitcode=33, steps=26, gas_used=0``, and providers forward it.
    """
    found = _EXIT_CODE.search(text)
    return int(found[1]) if found else None
