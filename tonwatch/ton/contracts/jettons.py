"""Jettons: what a jetton's wallet stores, and the messages that move jettons.

Source: TEP-74; the wallets of ``ton-blockchain/token-contract``, of
``ton-blockchain/stablecoin-contract`` and ``jetton-contract``, of ``OpenBuilders/notcoin-contract``
and, with an airdrop (TEP-177), of ``ton-community/mintless-jetton``; bounced bodies as in the
node's ``block.tlb``.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, cell, library
from tonwatch.ton.errors import BadAnswer


class MoveKind(StrEnum):
    """Kinds of messages to and from jetton wallets, by op code."""

    TRANSFER = "transfer"
    INTERNAL_TRANSFER = "internal_transfer"
    BURN = "burn"
    BURN_NOTIFICATION = "burn_notification"
    TRANSFER_NOTIFICATION = "transfer_notification"
    EXCESSES = "excesses"


class Move(NamedTuple):
    """A message about jettons; `amount` in their smallest units, 0 for excesses."""

    kind: MoveKind
    amount: int


_KINDS: Final = {
    0x0F8A7EA5: MoveKind.TRANSFER,
    0x178D4519: MoveKind.INTERNAL_TRANSFER,
    0x595F07BC: MoveKind.BURN,
    0x7BDD97DE: MoveKind.BURN_NOTIFICATION,
    0x7362D09C: MoveKind.TRANSFER_NOTIFICATION,
    0xD53276DB: MoveKind.EXCESSES,
}


class JettonKind(StrEnum):
    """A jetton wallet's contract that is recognised by its code; `UNKNOWN` for every other code.

    Balances of most unknown ones can be read nevertheless: many store the same as one of these.
    """

    STANDARD = "standard"
    DISCOVERABLE = "discoverable"
    GOVERNED = "governed"
    NOTCOIN = "notcoin"
    STABLECOIN_V2 = "stablecoin_v2"
    SHARDED = "sharded"
    MINTLESS = "mintless"
    UNKNOWN = "unknown"


_CODES: Final[Mapping[bytes, JettonKind]] = {
    bytes.fromhex(code_hash): kind
    for code_hash, kind in (
        ("beb0683ebeb8927fe9fc8ec0a18bc7dd17899689825a121eab46c5a3a860d0ce", JettonKind.STANDARD),
        (
            "4adf48135cb575adbaed476799c87ff2904269b1f949ada4d0479e9104b6f217",
            JettonKind.DISCOVERABLE,
        ),
        # USDT's among others.
        ("8f452d7a4dfd74066b682365177259ed05734435be76b5fd4bd5d8af2b7c3d68", JettonKind.GOVERNED),
        ("ba2918c8947e9b25af9ac1b883357754173e5812f807a3d6e642a14709595395", JettonKind.NOTCOIN),
        (
            "346250c205f56acfb6afa6fe7b76550805d256c6d8e47dd4f94ff672b47d19d3",
            JettonKind.STABLECOIN_V2,
        ),
        ("1ead271435514580d2db7399a17fe40839d50e20d005162c5b3bd002b805b1fc", JettonKind.SHARDED),
        ("0f1ad3d8a46bd283321dde639195fb72602e9b31b1727fecc25e2edc10966df4", JettonKind.MINTLESS),
    )
}

CODE_HASHES: Final[Mapping[bytes, JettonKind]] = {
    **_CODES,
    **{library(code_hash): kind for code_hash, kind in _CODES.items()},
}
"""Representation hashes of the code, and of the library cells that stand for it: all but the
first two are deployed with these, so that their code is stored only once."""


def kind_of(code_hash: bytes | None) -> JettonKind | None:
    """The kind of jetton wallet with this code; None without code."""
    return CODE_HASHES.get(code_hash, JettonKind.UNKNOWN) if code_hash is not None else None


class JettonData(NamedTuple):
    """What a jetton wallet stores.

    Attributes:
        balance: in the jetton's smallest units, without an airdrop that is not claimed.
        claimed: of a mintless jetton, whether its airdrop is claimed, if there is one for this
            owner; None of others.
    """

    balance: int
    claimed: bool | None = None


class _Layout(NamedTuple):
    """How a storage is laid out around balance, owner and master: bits and references."""

    status_bits: int
    rest_bits: int
    refs: int


_MERKLE_ROOT: Final = 256
_SALT: Final = 10
_LAYOUTS: Final = (
    _Layout(4, 0, 0),
    _Layout(0, 0, 1),
    _Layout(0, 0, 0),
    _Layout(4, _MERKLE_ROOT, 0),
    _Layout(4, _MERKLE_ROOT + _SALT, 0),
)


def read_data(data: Cell, owner: Address, master: Address) -> JettonData | None:
    """Read a jetton wallet's storage, whatever its code.

    Args:
        data: the storage.
        owner: the expected owner.
        master: of the expected jetton.

    Returns:
        None where the storage layout is unknown, or is another wallet's.

    Raises:
        ProofInvalid: it is pruned.
    """
    for layout in _LAYOUTS:
        try:
            fields = Slice(data)
            status = fields.uint(layout.status_bits)
            amount = fields.coins()
            matches = fields.address() == owner and fields.address() == master
        except BadAnswer:
            continue
        if matches and (fields.left, fields.refs_left) == (layout.rest_bits, layout.refs):
            return JettonData(amount, bool(status & 1) if layout.rest_bits else None)
    return None


def read_move(body: Cell) -> Move | None:
    """The jetton message in a body; None where it is none that is known.

    Anyone can send such a body: only the jetton wallet's own transaction shows its effect.
    """
    try:
        return _move(Slice(body))
    except BadAnswer:
        return None


def read_bounced(body: Cell) -> Move | None:
    """As `read_move`, of the body of a bounced message: its first 256 bits, or all."""
    try:
        fields = Slice(body)
        match fields.uint(32):
            case 0xFFFFFFFF:
                return _move(fields)
            case 0xFFFFFFFE:  # where the sender requested it, since 2025
                return _move(Slice(fields.ref()))
            case _:
                return None
    except BadAnswer:
        return None


def owner_argument(owner: Address) -> Cell:
    """The argument of ``get_wallet_address``: a slice with the owner's address."""
    return cell(owner.hash, head=f"100{owner.workchain & 0xFF:08b}")


def _move(fields: Slice) -> Move | None:
    kind = _KINDS.get(fields.uint(32))
    if kind is None:
        return None
    fields.uint(64)  # query
    return Move(kind, 0 if kind == MoveKind.EXCESSES else fields.coins())
