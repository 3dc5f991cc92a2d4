"""A small chain with any accounts and shards, written from block.tlb, and its proofs.

It shares no layouts with the simulator; pytoniq verifies its proofs.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.simulator.chain.merkle import merkle_update, pruned
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, boc, cell
from tonwatch.ton.liteserver.tl import Fields

SHARD_SEQNO: Final = 70
LAST: Final = (987654321, bytes(range(32)))
"""Lt and hash of every account's last transaction."""

_NOTHING: Final = "00000"
_EXTRA: Final = "00000" + _NOTHING
"""DepthBalanceInfo of nothing."""
_ORDINARY: Final = cell(b"an ordinary cell", cell(b"and what it refers to"))


def coins(amount: int) -> str:
    size = (amount.bit_length() + 7) // 8
    return f"{size:04b}" + (f"{amount:0{8 * size}b}" if size else "")


def bits(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def account(
    address: Address,
    balance: int,
    state: str = "00",
    refs: tuple[Cell, ...] = (),
    *,
    storage_extra: str = "000",
    due: str = "0",
    currencies: Cell | None = None,
) -> Cell:
    """``Account``; `state` are the bits of its AccountState, by default of one uninitialized."""
    where = "100" + bits(address.workchain.to_bytes(1, "big", signed=True) + address.hash)
    used = "001" + f"{3:08b}" + "010" + f"{1000:016b}" + storage_extra + f"{1_790_000_000:032b}"
    others = () if currencies is None else (currencies,)
    stored = f"{LAST[0] + 1:064b}" + coins(balance) + ("0" if currencies is None else "1")
    return cell(b"", *others, *refs, head="1" + where + used + due + stored + state)


def active(address: Address, balance: int, code: Cell, data: Cell) -> Cell:
    """An account with a contract."""
    return account(address, balance, "1" + "00" + "1" + "1" + "0", (code, data))


@dataclass(frozen=True)
class Block:
    id: BlockIdExt
    root: Cell
    state: Cell
    leaves: Mapping[Address, Cell]


class SmallChain:
    """One masterchain block and the shard blocks under it.

    Args:
        accounts: all of them.
        seqno: the masterchain block's.
        split: basechain accounts are in 2 to the power of so many shards.
    """

    def __init__(self, accounts: Mapping[Address, Cell], seqno: int = 100, split: int = 0) -> None:
        self.accounts = accounts
        self.seqno = seqno
        self.split = split
        self.gen_utime = 1_790_000_000 + seqno

    @cached_property
    def shards(self) -> dict[str, Block]:
        """By the bits that their addresses start with."""
        names = [f"{index:b}"[1:] for index in range(1 << self.split, 2 << self.split)]
        return {
            name: self._block(
                0, int(name + "1" + (63 - self.split) * "0", 2), SHARD_SEQNO + self.seqno,
                {
                    address: root for address, root in self.accounts.items()
                    if address.workchain == 0 and bits(address.hash).startswith(name)
                },
                None,
            )
            for name in names
        }  # fmt: skip

    @cached_property
    def master(self) -> Block:
        mine = {address: root for address, root in self.accounts.items() if address.workchain == -1}
        shards = cell(b"", self._tree(""), head="11" + "0" + "100000")
        return self._block(-1, 1 << 63, self.seqno, mine, shards)

    def shard_of(self, address: Address) -> Block:
        if address.workchain == -1:
            return self.master
        return self.shards[bits(address.hash)[: self.split]]

    def answer(self, address: Address) -> Fields:
        """An honest ``liteServer.accountState``."""
        block = self.shard_of(address)
        root = self.accounts.get(address)
        return {
            "id": self.master.id.to_dict(),
            "shardblk": block.id.to_dict(),
            "shard_proof": b"" if block is self.master else self.shard_proof(address),
            "proof": self.proof(address),
            "state": boc(root) if root is not None else b"",
        }

    def shard_proof(self, address: Address) -> bytes:
        custom = self.master.state.refs[3]
        at = custom.refs[0].refs[0]
        for bit in bits(address.hash)[: self.split]:
            at = at.refs[int(bit)]
        return boc(
            prove(self.master.root, self.master.root.refs[0], self.master.root.refs[2]),
            prove(self.master.state, at),
        )

    def proof(self, address: Address) -> bytes:
        """Of the account, or of the nearest one where there is none."""
        block = self.shard_of(address)
        near = max(block.leaves, key=lambda other: _common(other, address), default=None)
        shown = block.leaves[near] if near is not None else block.state.refs[1]
        return boc(
            prove(block.root, block.root.refs[0], block.root.refs[2]),
            prove(block.state, shown),
        )

    def _tree(self, prefix: str) -> Cell:
        """The shards whose prefixes start so: a ``BinTree ShardDescr``."""
        if len(prefix) < self.split:
            return cell(b"", self._tree(prefix + "0"), self._tree(prefix + "1"), head="1")
        block = self.shards[prefix].id
        data = b"".join((
            struct.pack(">IIQQ", block.seqno, self.seqno - 1, 1, 4), block.root_hash,
            block.file_hash, struct.pack(">BIQII", 0, 0, 1 << 63, self.seqno - 1, self.gen_utime),
        ))  # fmt: skip
        return cell(data, cell(b"", head=2 * _NOTHING), head="0" + "1010", tail="0")

    def _block(
        self,
        workchain: int,
        shard: int,
        seqno: int,
        accounts: Mapping[Address, Cell],
        shards: Cell | None,
    ) -> Block:
        leaves: dict[Address, Cell] = {}
        keys = {bits(address.hash): address for address in accounts}
        kept = _dictionary(sorted(keys), 256, keys, accounts, leaves)
        dictionary = cell(b"", *([kept] if kept else []), head=("1" if kept else "0") + _EXTRA)
        custom = []
        if shards is not None:
            config = cell(b"", cell(bytes(32)), head="11" + "0" + "100000")
            history = cell(bytes(10), head=69 * "0")
            custom = [cell(bytes(32), shards, config, history, head="1100110000100110" + "1",
                           tail=_NOTHING)]  # fmt: skip
        state = cell(
            struct.pack(">IiBiQIIIQI", 0x9023AFE2, -7, 0, workchain, 0, seqno, 0, self.gen_utime,
                        5, self.seqno - 1),
            _ORDINARY, dictionary, cell(head=128 * "0" + 2 * _NOTHING + "0" + "0"), *custom,
            tail="0" + ("1" if custom else "0"),
        )  # fmt: skip
        info = cell(
            struct.pack(">IIBBIIBiQIQQIIIIBIQ", 0x9BC7A987, 0, 0x04, 1, seqno, 0, 0, workchain, 0,
                        self.gen_utime, 1, 5, 0, 0, self.seqno - 1, 0, 0xC4, 12, 0x3EE),
            cell(struct.pack(">QI", 1, seqno - 1) + bytes(64)),
        )  # fmt: skip
        update = merkle_update(pruned(_ORDINARY), pruned(state))
        root = cell(struct.pack(">Ii", 0x11EF55AA, -7), info, _ORDINARY, update, _ORDINARY)
        file_hash = hashlib.sha256(boc(root)).digest()
        signed = shard - (1 << 64)
        if not shard >> 63:
            signed = shard
        return Block(
            BlockIdExt(workchain, signed, seqno, root.hash, file_hash), root, state, leaves
        )


def prove(root: Cell, *shown: Cell) -> Cell:
    """A Merkle proof that shows these cells and the path to them, and nothing below them."""
    data = b"\x03" + root.hash + root.depth.to_bytes(2, "big")
    return Cell(b"\x09\x46" + data, (_prune(root, set(shown)),))


def _prune(at: Cell, shown: set[Cell]) -> Cell:
    if at in shown or _leads_to(at, shown):
        if at.exotic:
            return at
        refs = tuple(_prune(ref, shown) if ref.refs else ref for ref in at.refs)
        level = 32 if any(ref.body[0] & 32 for ref in refs) else 0
        return Cell(bytes((at.body[0] | level,)) + at.body[1:], refs)
    return pruned(at)


def _leads_to(at: Cell, shown: set[Cell]) -> bool:
    return any(ref in shown or _leads_to(ref, shown) for ref in at.refs)


def _common(one: Address, other: Address) -> int:
    """How many bits two addresses start with in common."""
    return 256 - (int.from_bytes(one.hash, "big") ^ int.from_bytes(other.hash, "big")).bit_length()


def _dictionary(
    keys: list[str],
    left: int,
    addresses: Mapping[str, Address],
    accounts: Mapping[Address, Cell],
    leaves: dict[Address, Cell],
) -> Cell | None:
    """``HashmapAug 256 ShardAccount DepthBalanceInfo`` of keys that start alike."""
    if not keys:
        return None
    start = 256 - left
    first, last = keys[0][start:], keys[-1][start:]
    length = next((n for n in range(left) if first[n] != last[n]), left)
    label = _label(first[:length], left)
    if length == left:
        address = addresses[keys[0]]
        data = LAST[1] + struct.pack(">Q", LAST[0])
        leaves[address] = leaf = cell(data, accounts[address], head=label + _EXTRA)
        return leaf
    middle = next(index for index, key in enumerate(keys) if key[start + length] == "1")
    below = [
        _dictionary(part, left - length - 1, addresses, accounts, leaves)
        for part in (keys[:middle], keys[middle:])
    ]
    return cell(b"", *[branch for branch in below if branch], head=label + _EXTRA)


def _label(text: str, left: int) -> str:
    """The shortest way to write a label, as the node does."""
    size = f"{len(text):0{left.bit_length()}b}" if left else ""
    ways = ["0" + len(text) * "1" + "0" + text, "10" + size + text]
    if text and len(set(text)) == 1:
        ways.append("11" + text[0] + size)
    return min(ways, key=len)
