"""The accounts of a simulated shard, in the cells of a real node.

Source: ``Account`` and ``ShardAccount`` in the node's ``crypto/block/block.tlb``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Final, NamedTuple, Self

from tonwatch.simulator.chain import dictionary
from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.dictionary import Edge
from tonwatch.simulator.chain.merkle import Keep
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId

FILLER_ACCOUNTS: Final = 500
"""Accounts that fill a shard: they make proofs as deep as those of a small real network."""


class Used(NamedTuple):
    """The size that storage fees are charged for."""

    cells: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class SimAccount:
    """An account of workchain 0 after some block.

    Attributes:
        balance: nanocoins.
        currencies: extra ones, as a dictionary, which no message moves; None for none.
        code, data: None where it is not active.
        last: its last transaction; None if it has had none.
        last_paid: until when its storage is paid, Unix seconds; 0 for never.
        end_lt: logical time after the last message of its last transaction.
        frozen_hash: of the code and data of a frozen account.
    """

    address: Address
    status: AccountStatus
    balance: int
    code: Cell | None = None
    data: Cell | None = None
    last: TransactionId | None = None
    last_paid: int = 0
    end_lt: int = 0
    frozen_hash: bytes = bytes(32)
    currencies: Cell | None = None

    @cached_property
    def cell(self) -> Cell:
        """``Account``."""
        used = self.used
        builder = CellBuilder().uint(1, 1).address(self.address)
        builder.variable(used.cells, 3).variable(used.bits, 3).uint(0, 3)
        builder.uint(self.last_paid, 32).uint(0, 1)
        builder.uint(self.end_lt, 64).coins(self.balance).maybe_ref(self.currencies)
        if self.status is AccountStatus.ACTIVE:
            builder.uint(0b1, 1)
            _write_init(builder, self.code, self.data)
        elif self.status is AccountStatus.FROZEN:
            builder.uint(0b01, 2).take(self.frozen_hash)
        else:
            builder.uint(0b00, 2)
        return builder.cell()

    def with_last(self, last: TransactionId) -> Self:
        """The same account with another last transaction; its cell is the same."""
        other = replace(self, last=last)
        other.__dict__["cell"] = self.cell
        return other

    @cached_property
    def used(self) -> Used:
        """Cells and bits of its storage."""
        parts = (self.code, self.data, self.currencies)
        code, data, others = (used_by(part) if part else Used(0, 0) for part in parts)
        # AccountStorage itself is one cell: time, balance and state.
        own = 64 + 8 * ((self.balance.bit_length() + 7) // 8) + 5
        own += {AccountStatus.ACTIVE: 6, AccountStatus.FROZEN: 258}.get(self.status, 2)
        cells = 1 + code.cells + data.cells + others.cells
        return Used(cells, own + code.bits + data.bits + others.bits)

    @cached_property
    def entry(self) -> bytes:
        """The bits of ``ShardAccount``: its last transaction."""
        last = self.last or TransactionId(0, bytes(32))
        return last.hash + last.lt.to_bytes(8, "big")


def extra_currencies(amounts: Mapping[int, int]) -> Cell | None:
    """``ExtraCurrencyCollection``: amounts in smallest units, by id."""
    values = [(id_, CellBuilder().variable(amounts[id_], 5).cell()) for id_ in sorted(amounts)]
    return dictionary.hashmap(values, 32, inline=True) if values else None


class Accounts:
    """All accounts of the shard after a block; they do not change."""

    __slots__ = ("_root", "cell")

    def __init__(self, root: Edge[SimAccount] | None = None) -> None:
        self._root = root
        builder = CellBuilder().maybe_ref(root.cell if root is not None else None)
        self.cell: Cell = builder.uint(0, 5).currencies(self.total).cell()

    @property
    def total(self) -> int:
        """Nanocoins of all of them."""
        return self._root.total if self._root is not None else 0

    def get(self, address: Address) -> SimAccount | None:
        """The account at an address; None if there is none."""
        return dictionary.get(self._root, address.hash) if address.workchain == 0 else None

    def proof_path(self, address: Address) -> Keep:
        """What a proof keeps of `cell` to prove an account, or that there is none."""
        if self._root is None:
            return Keep()
        return Keep({0: dictionary.proof_path(self._root, address.hash)})

    def put(self, *accounts: SimAccount) -> Self:
        """All accounts with these added or replaced."""
        root = self._root
        for account in accounts:
            root = dictionary.put(root, account.address.hash, account)
        return type(self)(root)


EMPTY: Final = Accounts()


@cache
def filler_accounts() -> Accounts:
    """Accounts that only fill the shard; the same in every network."""
    return EMPTY.put(*(_filler_account(number) for number in range(FILLER_ACCOUNTS)))


def _filler_account(number: int) -> SimAccount:
    seed = hashlib.sha256(f"filler account {number}".encode()).digest()
    return SimAccount(
        address=Address(0, seed),
        status=AccountStatus.UNINITIALIZED,
        balance=int.from_bytes(seed[:5], "big"),
    )


def state_init(code: Cell | None, data: Cell | None) -> Cell:
    """``StateInit``; its hash is the address of the account that it makes."""
    builder = CellBuilder()
    _write_init(builder, code, data)
    return builder.cell()


def _write_init(builder: CellBuilder, code: Cell | None, data: Cell | None) -> None:
    builder.uint(0, 2).maybe_ref(code).maybe_ref(data).uint(0, 1)


@lru_cache(maxsize=4096)
def used_by(root: Cell) -> Used:
    """The size of a cell and all below it; equal cells count once."""
    seen: dict[bytes, int] = {}
    stack = [root]
    while stack:
        item = stack.pop()
        if item.hash not in seen:
            seen[item.hash] = own_bits(item)
            stack.extend(item.refs)
    return Used(len(seen), sum(seen.values()))


def own_bits(item: Cell) -> int:
    """Bits of data in one cell."""
    bits = 8 * (len(item.body) - 2)
    if item.body[1] & 1:
        last = item.body[-1]
        bits -= (last & -last).bit_length()
    return bits
