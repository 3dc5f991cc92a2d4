"""Wallet contracts: their kinds, their storage, and a message that each of them refuses.

Such a message tests the path of payouts, without a key and without cost: the node has to run
the wallet's code on fresh state to find out that the wallet refuses it.

Source: the contracts themselves, ``ton-blockchain/ton`` (v1, v2, v3, highload v1 and v2),
``ton-blockchain/wallet-contract`` (v4), ``tonkeeper/w5`` (v5), ``highload-wallet-contract-v3``,
``vesting-contract``, ``lockup-wallet-contract`` and ``multisig-contract-v2`` of
``ton-blockchain``, ``akifoq/multisig`` (multisig v1) and ``pyAndr3w/ton-preprocessed-wallet-v2``.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, boc, cell, library
from tonwatch.ton.cells.dictionary import items
from tonwatch.ton.errors import BadAnswer

NOISE: Final = 64
"""Bytes of a signature."""


class WalletKind(StrEnum):
    """A wallet contract that is recognised by its code; `UNKNOWN` for every other code."""

    V1R1 = "v1r1"
    V1R2 = "v1r2"
    V1R3 = "v1r3"
    V2R1 = "v2r1"
    V2R2 = "v2r2"
    V3R1 = "v3r1"
    V3R2 = "v3r2"
    V4R1 = "v4r1"
    V4R2 = "v4r2"
    V5_BETA = "v5_beta"
    V5R1 = "v5r1"
    HIGHLOAD_V1R1 = "highload_v1r1"
    HIGHLOAD_V1R2 = "highload_v1r2"
    HIGHLOAD_V2 = "highload_v2"
    HIGHLOAD_V2R1 = "highload_v2r1"
    HIGHLOAD_V2R2 = "highload_v2r2"
    HIGHLOAD_V3 = "highload_v3"
    PREPROCESSED_V2 = "preprocessed_v2"
    VESTING = "vesting"
    LOCKUP = "lockup"
    MULTISIG_V1 = "multisig_v1"
    MULTISIG_V2 = "multisig_v2"
    UNKNOWN = "unknown"


_CODES: Final[Mapping[bytes, WalletKind]] = {
    bytes.fromhex(code_hash): kind
    for code_hash, kind in (
        ("a0cfc2c48aee16a271f2cfc0b7382d81756cecb1017d077faaab3bb602f6868c", WalletKind.V1R1),
        ("d4902fcc9fad74698fa8e353220a68da0dcf72e32bcb2eb9ee04217c17d3062c", WalletKind.V1R2),
        ("587cc789eff1c84f46ec3797e45fc809a14ff5ae24f1e0c7a6a99cc9dc9061ff", WalletKind.V1R3),
        ("5c9a5e68c108e18721a07c42f9956bfb39ad77ec6d624b60c576ec88eee65329", WalletKind.V2R1),
        ("fe9530d3243853083ef2ef0b4c2908c0abf6fa1c31ea243aacaa5bf8c7d753f1", WalletKind.V2R2),
        ("b61041a58a7980b946e8fb9e198e3c904d24799ffa36574ea4251c41a566f581", WalletKind.V3R1),
        ("84dafa449f98a6987789ba232358072bc0f76dc4524002a5d0918b9a75d2d599", WalletKind.V3R2),
        ("64dd54805522c5be8a9db59cea0105ccf0d08786ca79beb8cb79e880a8d7322d", WalletKind.V4R1),
        ("feb5ff6820e2ff0d9483e7e0d62c817d846789fb4ae580c878866d959dabd5c0", WalletKind.V4R2),
        # Deployed as a library cell.
        ("e4cf3b2f4c6d6a61ea0f2b5447d266785b26af3637db2deee6bcd1aa826f3412", WalletKind.V5_BETA),
        ("20834b7b72b112147e1b2fb457b84e74d1a30f04f737d4f62a668e9552d2b72f", WalletKind.V5R1),
        (
            "d8cdbbb79f2c5caa677ac450770be0351be21e1250486de85cc52aa33dd16484",
            WalletKind.HIGHLOAD_V1R1,
        ),
        (
            "0dceed21269d66013e95b19fbb5c55a6f01adad40837baa8e521cde3a02aa46c",
            WalletKind.HIGHLOAD_V1R2,
        ),
        (
            "9494d1cc8edf12f05671a1a9ba09921096eb50811e1924ec65c3c629fbb80812",
            WalletKind.HIGHLOAD_V2,
        ),
        (
            "8ceb45b3cd4b5cc60eaae1c13b9c092392677fe536b2e9b2d801b62eff931fe1",
            WalletKind.HIGHLOAD_V2R1,
        ),
        (
            "203dd4f358adb49993129aa925cac39916b68a0e4f78d26e8f2c2b69eafa5679",
            WalletKind.HIGHLOAD_V2R2,
        ),
        (
            "11acad7955844090f283bf238bc1449871f783e7cc0979408d3f4859483e8525",
            WalletKind.HIGHLOAD_V3,
        ),
        (
            "45ebbce9b5d235886cb6bfe1c3ad93b708de058244892365c9ee0dfe439cb7b5",
            WalletKind.PREPROCESSED_V2,
        ),
        ("b48b531abec3b714638291f7d77ed6dc9f6a2729efca20477137374d4ae8b590", WalletKind.VESTING),
        ("88fbf818e47d5f328f7dc34bad4323bb28a12ec6c75ce9ec25d77746c56e1ded", WalletKind.LOCKUP),
        (
            "5a55840263d27945feb55b53fa85afa4f9dd61ea573e1eeba1ecac9c96581881",
            WalletKind.MULTISIG_V1,
        ),
        (
            "d3d14da9a627f0ec3533341829762af92b9540b21bf03665fac09c2b46eabbac",
            WalletKind.MULTISIG_V2,
        ),
    )
}

CODE_HASHES: Final[Mapping[bytes, WalletKind]] = {
    **_CODES,
    **{library(code_hash): kind for code_hash, kind in _CODES.items()},
}
"""Representation hashes of the code, and of the library cells that stand for it."""


def kind_of(code_hash: bytes | None) -> WalletKind | None:
    """The kind of wallet with this code; None without code."""
    return CODE_HASHES.get(code_hash, WalletKind.UNKNOWN) if code_hash is not None else None


class WalletData(NamedTuple):
    """What a wallet stores. None where this kind has no such value.

    Attributes:
        seqno: of the next message.
        last_clean: Unix seconds of the newest query that a highload v2 or multisig v1 wallet has
            forgotten, or at which a highload v3 wallet last did so; 0 for never.
        subwallet: its number, by which wallets of one key differ; the whole id of a v5r1 wallet.
        signers: how many can sign, of a multisig.
        threshold: how many have to, of a multisig.
        locked: nanocoins that the wallet does not send to any address yet.
    """

    seqno: int | None = None
    last_clean: int | None = None
    subwallet: int | None = None
    signers: int | None = None
    threshold: int | None = None
    locked: int | None = None


def read_data(kind: WalletKind, data: Cell, at: int = 0) -> WalletData:
    """Read a wallet's storage.

    Args:
        kind: of the wallet.
        data: its storage.
        at: the time for which `WalletData.locked` is asked, Unix seconds.

    Raises:
        BadAnswer: it is not laid out as this kind's, or the kind is unknown.
        ProofInvalid: it is pruned.
    """
    fields = Slice(data)
    found = _read(kind, fields, at)
    if fields.left or fields.refs_left:
        raise BadAnswer(f"a {kind} wallet's storage has more in it than it should")
    return found


def _read(kind: WalletKind, fields: Slice, at: int) -> WalletData:
    match kind:
        case (
            WalletKind.V1R1 | WalletKind.V1R2 | WalletKind.V1R3 | WalletKind.V2R1 | WalletKind.V2R2
        ):
            seqno = fields.uint(32)
            fields.uint(256)  # key
            return WalletData(seqno=seqno)
        case (
            WalletKind.V3R1 | WalletKind.V3R2 | WalletKind.HIGHLOAD_V1R1 | WalletKind.HIGHLOAD_V1R2
        ):
            return _seqno_and_subwallet(fields)
        case WalletKind.V4R1 | WalletKind.V4R2:
            found = _seqno_and_subwallet(fields)
            fields.maybe_ref()  # plugins
            return found
        case WalletKind.V5_BETA:
            fields.bit()  # whether signatures are disabled
            seqno = fields.uint(32)
            fields.uint(32 + 8 + 8)  # network, workchain and version
            subwallet = fields.uint(32)
            fields.uint(256)
            fields.maybe_ref()  # extensions
            return WalletData(seqno=seqno, subwallet=subwallet)
        case WalletKind.V5R1:
            fields.bit()  # whether signatures are allowed
            found = _seqno_and_subwallet(fields)
            fields.maybe_ref()  # extensions
            return found
        case WalletKind.HIGHLOAD_V2 | WalletKind.HIGHLOAD_V2R1 | WalletKind.HIGHLOAD_V2R2:
            subwallet = fields.uint(32)
            last_clean = fields.uint(64) >> 32
            fields.uint(256)
            fields.maybe_ref()  # queries
            return WalletData(last_clean=last_clean, subwallet=subwallet)
        case WalletKind.HIGHLOAD_V3:
            fields.uint(256)
            subwallet = fields.uint(32)
            fields.maybe_ref()  # older queries
            fields.maybe_ref()  # queries
            last_clean = fields.uint(64)
            fields.uint(22)  # timeout
            return WalletData(last_clean=last_clean, subwallet=subwallet)
        case WalletKind.PREPROCESSED_V2:
            fields.uint(256)
            return WalletData(seqno=fields.uint(16))
        case WalletKind.VESTING:
            found = _seqno_and_subwallet(fields)
            fields.maybe_ref()  # allowed destinations
            return found._replace(locked=_vested(Slice(fields.ref()), at))
        case WalletKind.LOCKUP:
            found = _seqno_and_subwallet(fields)
            fields.uint(256)  # the key of those who lock
            fields.maybe_ref()  # allowed destinations
            return found._replace(locked=_locked(fields, at) + _locked(fields, at))
        case WalletKind.MULTISIG_V1:
            subwallet, signers, threshold = fields.uint(32), fields.uint(8), fields.uint(8)
            last_clean = fields.uint(64) >> 32
            fields.maybe_ref()  # owners
            fields.maybe_ref()  # orders
            return WalletData(None, last_clean, subwallet, signers, threshold)
        case WalletKind.MULTISIG_V2:
            fields.uint(256)  # number of the next order
            threshold = fields.uint(8)
            fields.ref()  # signers
            signers = fields.uint(8)
            fields.maybe_ref()  # proposers
            fields.bit()  # whether orders may have any number
            return WalletData(signers=signers, threshold=threshold)
        case WalletKind.UNKNOWN:
            raise BadAnswer("the storage of an unknown contract")


def _seqno_and_subwallet(fields: Slice) -> WalletData:
    """How most kinds begin; reads the key as well."""
    seqno, subwallet = fields.uint(32), fields.uint(32)
    fields.uint(256)
    return WalletData(seqno=seqno, subwallet=subwallet)


_MAX_PARTS: Final = 512
"""Locked parts of a lockup wallet that are read; with more it has not the gas to free them."""


def _vested(terms: Slice, at: int) -> int:
    """What a vesting wallet still locks, by the contract's ``get_locked_amount``."""
    start, total, period, cliff = terms.uint(64), terms.uint(32), terms.uint(32), terms.uint(32)
    amount = terms.coins()
    terms.address()  # who locked it
    terms.address()  # whose it is
    if at > start + total:
        return 0
    if at < start + cliff or not period or total < period:
        return amount
    return amount - amount * ((at - start) // period) // (total // period)


def _locked(fields: Slice, at: int) -> int:
    """A sum that a lockup wallet locks, without parts that it frees with its next message."""
    amount, parts = fields.coins(), fields.maybe_ref()
    if parts is not None:
        locked = items(parts, 32, _MAX_PARTS)
        amount -= sum([value.coins() for until, value in locked if until <= at])
    if amount < 0:
        raise BadAnswer("a lockup wallet frees more than it locks")
    return amount


REJECTIONS: Final[Mapping[WalletKind, frozenset[int]]] = {
    WalletKind.V1R1: frozenset({33, 34}),
    WalletKind.V1R2: frozenset({33, 34}),
    WalletKind.V1R3: frozenset({33, 34}),
    WalletKind.V2R1: frozenset({35}),
    WalletKind.V2R2: frozenset({35}),
    WalletKind.V3R1: frozenset({35}),
    WalletKind.V3R2: frozenset({35}),
    WalletKind.V4R1: frozenset({35}),
    WalletKind.V4R2: frozenset({36}),
    WalletKind.V5R1: frozenset({135}),
    WalletKind.HIGHLOAD_V1R1: frozenset({35}),
    WalletKind.HIGHLOAD_V1R2: frozenset({35}),
    WalletKind.HIGHLOAD_V2: frozenset({35}),
    WalletKind.HIGHLOAD_V2R1: frozenset({35}),
    WalletKind.HIGHLOAD_V2R2: frozenset({35}),
    WalletKind.HIGHLOAD_V3: frozenset({33}),
    WalletKind.PREPROCESSED_V2: frozenset({33, 34}),
    WalletKind.VESTING: frozenset({36}),
    WalletKind.LOCKUP: frozenset({36}),
}
"""Exit codes with which a wallet refuses an `unacceptable_message`; only these kinds have one.

Each is that of the wallet's first check, whatever the wallet stores: v5 and highload v3 check the
signature first, v1 and preprocessed the seqno, and where that is the message's the next thing.
All others check the time.
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
        kind: of the wallet, one of `REJECTIONS`.
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
        case WalletKind.V1R1 | WalletKind.V1R2 | WalletKind.V1R3:
            return cell(noise + _IMPOSSIBLE_SEQNO)
        case WalletKind.V2R1 | WalletKind.V2R2:
            return cell(noise + _IMPOSSIBLE_SEQNO + _EXPIRED)
        case WalletKind.V3R1 | WalletKind.V3R2 | WalletKind.VESTING | WalletKind.LOCKUP:
            return cell(noise + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO)
        case WalletKind.V4R1 | WalletKind.V4R2:
            simple_send = b"\0"
            return cell(noise + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO + simple_send)
        case WalletKind.V5R1:
            signed = _SIGNED_EXTERNAL + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO
            # No list of messages and no other actions; the signature is the last.
            return cell(noise, head="".join(f"{byte:08b}" for byte in signed) + "00")
        case WalletKind.HIGHLOAD_V1R1 | WalletKind.HIGHLOAD_V1R2:
            return cell(noise + _NO_SUBWALLET + _EXPIRED + _IMPOSSIBLE_SEQNO, tail="0")
        case WalletKind.HIGHLOAD_V2 | WalletKind.HIGHLOAD_V2R1 | WalletKind.HIGHLOAD_V2R2:
            expired_query = _EXPIRED + b"\xff" * 4
            return cell(noise + _NO_SUBWALLET + expired_query, tail="0")
        case WalletKind.HIGHLOAD_V3:
            mode, created_at = b"\0", bytes(4) + _EXPIRED
            # The impossible query id 8191:1023, and the longest timeout.
            tail = "1" * 23 + "".join(f"{byte:08b}" for byte in created_at) + "1" * 22
            return cell(noise, cell(_NO_SUBWALLET + mode, cell(), tail=tail))
        case WalletKind.PREPROCESSED_V2:
            return cell(noise, cell(bytes(4) + _EXPIRED + b"\xff" * 2, cell()))
        case _:
            raise ValueError(f"no message is known that {kind} refuses")


_EXIT_CODE: Final = re.compile(r"\bexit[ _]?code\b\s*[=:]?\s*(-?\d{1,10})\b", re.IGNORECASE)


def exit_code(text: str) -> int | None:
    """The exit code in a node's error where a contract refused a message; None without one.

    Nodes write ``exitcode=33, steps=26, gas_used=0``, and providers forward it.
    """
    found = _EXIT_CODE.search(text)
    return int(found[1]) if found else None
