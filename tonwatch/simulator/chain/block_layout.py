"""The cells of a block and of its state.

A block has its value flow; its dictionaries of transactions and messages are empty. Its state has
all accounts.

Source: the node's ``crypto/block/block.tlb``; layouts compared with recorded
blocks of validator-engine v2025.10.
"""

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.merkle import ALL, Keep
from tonwatch.ton.cells.cell import Cell, cell

MASTERCHAIN: Final = -1
BASECHAIN: Final = 0
WHOLE_SHARD: Final = -(1 << 63)
"""The shard that is a whole workchain, 8000000000000000, as TL's signed long."""

VERSION: Final = 12
CAPABILITIES: Final = 0x3EE
"""`gen_software` of the simulated validators."""

_NO_CURRENCY: Final = "00000"
"""A CurrencyCollection of nothing: 4 bits of length zero, no other currencies."""


class BlockId(NamedTuple):
    """``tonNode.blockIdExt`` of a block that covers its whole workchain."""

    workchain: int
    seqno: int
    root_hash: bytes
    file_hash: bytes

    @property
    def short(self) -> str:
        """``(-1,8000000000000000,7)``, as the node's errors write it."""
        return f"({self.workchain},8000000000000000,{self.seqno})"

    def __str__(self) -> str:
        return f"{self.short}:{self.root_hash.hex().upper()}:{self.file_hash.hex().upper()}"

    def tl(self) -> dict[str, object]:
        return {
            "workchain": self.workchain,
            "shard": WHOLE_SHARD,
            "seqno": self.seqno,
            "root_hash": self.root_hash.hex(),
            "file_hash": self.file_hash.hex(),
        }


class Header(NamedTuple):
    """The numbers in the header of a block and of the state after it."""

    global_id: int
    workchain: int
    seqno: int
    gen_utime: int
    start_lt: int
    end_lt: int
    min_ref_mc_seqno: int


class Ref(NamedTuple):
    """``ExtBlkRef``: a reference to a block."""

    end_lt: int
    id: BlockId

    def encode(self) -> bytes:
        return (
            struct.pack(">QI", self.end_lt, self.id.seqno) + self.id.root_hash + self.id.file_hash
        )


class ValueFlow(NamedTuple):
    """The coins that went through a block, in nanocoins.

    Attributes:
        before, after: balances of all accounts.
        imported, exported: with inbound and outbound messages.
        fees: collected.
    """

    before: int = 0
    after: int = 0
    imported: int = 0
    exported: int = 0
    fees: int = 0


NO_VALUE_FLOW: Final = ValueFlow()

# A block and its state.

# A block's references are info, value_flow, state_update, extra.
SHOW_HEADER: Final = Keep({0: ALL})
SHOW_STATE_HASH: Final = Keep({0: ALL, 2: ALL})
SHOW_SHARDS: Final = Keep({3: Keep({3: Keep()})})

# A state's references are out_msg_queue, accounts, totals, and the masterchain's own part.
STATE_SHOWS_SHARDS: Final = Keep({2: Keep(), 3: Keep({0: ALL})})

_NO_QUEUE: Final = cell(bytes(8), tail="000")
_NO_IN_MESSAGES: Final = cell(tail="0" + "0000" + _NO_CURRENCY)
_NO_OUT_MESSAGES: Final = cell(tail="0" + _NO_CURRENCY)
_NO_ACCOUNT_BLOCKS: Final = _NO_OUT_MESSAGES
_NO_SIGNATURES: Final = cell(tail="000")
_NO_FEES: Final = cell(tail=2 * _NO_CURRENCY)
_NOTHING_CREATED: Final = cell(tail=4 * _NO_CURRENCY)
_VALIDATORS_AND_HISTORY: Final = cell(bytes(10), tail=69 * "0")
"""No flags, validators, old blocks (an empty dictionary with 65 bits of totals) or key block."""


_INFO: Final = struct.Struct(">IIBBIIBiQIQQIIIIBIQ")
_STATE: Final = struct.Struct(">IiBiQIIIQI")


def block(
    header: Header,
    prev: Ref,
    update: Cell,
    seed: bytes,
    *,
    master: Ref | None,
    shards: Cell | None,
    flow: ValueFlow = NO_VALUE_FLOW,
) -> Cell:
    """``block#11ef55aa``.

    Args:
        header: the block's own numbers.
        prev: the block before it in its workchain.
        update: its `merkle_update`.
        seed: 32 bytes that make this network's blocks differ from another's.
        master: the masterchain block that a shard's block refers to; None in the masterchain.
        shards: `shard_hashes` of a masterchain block; None elsewhere.
        flow: its value flow.
    """
    info = cell(
        _INFO.pack(
            0x9BC7A987,
            0,
            0x84 if master else 0x04,
            1,
            header.seqno,
            0,
            0,
            header.workchain,
            0,
            header.gen_utime,
            header.start_lt,
            header.end_lt,
            0,
            0,
            header.min_ref_mc_seqno,
            0,
            0xC4,
            VERSION,
            CAPABILITIES,
        ),
        *((cell(master.encode()),) if master else ()),
        cell(prev.encode()),
    )
    custom = []
    if shards is not None:
        head = "1100110010100101" + "0" + "1" + "0" + 2 * _NO_CURRENCY
        custom.append(cell(b"", shards, _NO_SIGNATURES, head=head))
    extra = cell(
        bytes.fromhex("4a33f6fd") + seed + bytes(32),
        _NO_IN_MESSAGES,
        _NO_OUT_MESSAGES,
        _NO_ACCOUNT_BLOCKS,
        *custom,
        tail="1" if custom else "0",
    )
    data = struct.pack(">Ii", 0x11EF55AA, header.global_id)
    return cell(data, info, _value_flow(flow), update, extra)


@lru_cache(maxsize=256)
def _value_flow(flow: ValueFlow) -> Cell:
    """``value_flow#b8e48dfb``."""
    builder = CellBuilder()
    for amount in (flow.before, flow.after, flow.imported, flow.exported):
        builder.currencies(amount)
    whole = CellBuilder().uint(0xB8E48DFB, 32).ref(builder.cell()).currencies(flow.fees)
    return whole.ref(_NOTHING_CREATED).cell()


@lru_cache(maxsize=64)
def _totals_bits(balance: int) -> str:
    """The bits of a state's totals: load history, balance, fees and libraries."""
    size = (balance.bit_length() + 7) // 8
    amount = f"{balance:0{8 * size}b}" if size else ""
    return 128 * "0" + f"{size:04b}{amount}0" + _NO_CURRENCY + "0"


@lru_cache(maxsize=64)
def _masterless_totals(balance: int) -> Cell:
    """A state's totals without a reference to a masterchain block."""
    return cell(head=_totals_bits(balance) + "0")


def shard_state(
    header: Header, accounts: Cell, balance: int, *, master: Ref | None, custom: Cell | None
) -> Cell:
    """``shard_state#9023afe2``.

    Args:
        header: of the block before it.
        accounts: ``ShardAccounts``.
        balance: of all of them, nanocoins.
        master: the masterchain block that a shard's state refers to; None in the masterchain.
        custom: the masterchain's own part; None elsewhere.
    """
    data = _STATE.pack(
        0x9023AFE2,
        header.global_id,
        0,
        header.workchain,
        0,
        header.seqno,
        0,
        header.gen_utime,
        header.end_lt,
        header.min_ref_mc_seqno,
    )
    totals = (
        cell(master.encode(), head=_totals_bits(balance) + "1")
        if master
        else _masterless_totals(balance)
    )
    refs = [_NO_QUEUE, accounts, totals]
    if custom is not None:
        refs.append(custom)
    return cell(data, *refs, tail="0" + ("1" if custom else "0"))


def masterchain_custom(shards: Cell, config_address: bytes, config: Cell) -> Cell:
    """``masterchain_state_extra#cc26``: the shards and the network's configuration."""
    head = "1100110000100110" + "1"
    return cell(
        config_address, shards, config, _VALIDATORS_AND_HISTORY, head=head, tail=_NO_CURRENCY
    )


def shard_hashes(header: Header, shard: BlockId) -> Cell:
    """The one edge of `ShardHashes`: workchain 0, one shard, last block `shard`."""
    descr = b"".join(
        (
            struct.pack(
                ">IIQQ", shard.seqno, header.min_ref_mc_seqno, header.start_lt, header.end_lt
            ),
            shard.root_hash,
            shard.file_hash,
            struct.pack(">BIQII", 0, 0, 1 << 63, header.min_ref_mc_seqno, header.gen_utime),
        )
    )
    # bt_leaf$0, shard_descr_new#a, then the rest; no split or merge is planned.
    leaf = cell(descr, _NO_FEES, head="0" + "1010", tail="0")
    # One key of 32 zero bits: hml_same$11 0 and the length in 6 bits.
    return cell(b"", leaf, head="11" + "0" + "100000")


def shards_of(block: Cell) -> Cell:
    """The `shard_hashes` of a masterchain block."""
    return block.refs[3].refs[3].refs[0]


def config_params(address: bytes) -> Cell:
    """A configuration with one parameter, 0: the address of its own contract."""
    return cell(b"", cell(address), head="11" + "0" + "100000")
