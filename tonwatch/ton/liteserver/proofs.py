"""Verifies that an answer follows from the requested block.

A proof is a chain of hashes: from a masterchain block to its state, to a shard's block, to
that block's state, to the account. It starts at the root hash of the requested block,
which the caller has from the same liteserver's head: a liteserver can prove anything about
its own chain. Forks are not detected here.

Source: the node's ``crypto/block/check-proof.cpp`` and ``block.tlb``.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_boc, read_one
from tonwatch.ton.cells.cell import MERKLE_PROOF, MERKLE_UPDATE, Cell, Slice
from tonwatch.ton.cells.dictionary import find
from tonwatch.ton.contracts.accounts import (
    MAX_ACCOUNT_CELLS,
    Account,
    AccountAt,
    missing,
    parse_account,
)
from tonwatch.ton.contracts.transactions import Transaction, TransactionId, parse_transaction
from tonwatch.ton.errors import BadAnswer, ProofInvalid
from tonwatch.ton.liteserver import tl

MASTERCHAIN: Final = -1

_MAX_SPLIT: Final = 60
"""How often a workchain can be split into shards."""
_UNSIGNED: Final = (1 << 64) - 1
_MAX_PROOF_CELLS: Final = 1024
"""Real proofs have under 200."""
_MAX_TRANSACTION_CELLS: Final = 1 << 16
"""Cells of an answer with transactions. One that sends 254 messages has about 1,500, but each
message may have 8,192: ``max_msg_cells`` in the node's ``SizeLimitsConfig``."""


class _Shard(NamedTuple):
    """A shard's last block in a masterchain block."""

    seqno: int
    root_hash: bytes
    file_hash: bytes


class KnownBlocks:
    """Blocks known by proofs, so that no block is proven twice.

    Shared by all connections: what is kept under a block's root hash follows from that hash
    alone, so a malicious liteserver can add only blocks that others do not refer to.

    Args:
        limit: shards of masterchain blocks, and blocks' states, to keep; then the oldest go.
    """

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._shards: dict[tuple[bytes, int, int, int], _Shard] = {}
        self._states: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Entries kept: at most twice the limit."""
        return len(self._shards) + len(self._states)

    def shard(self, master: BlockIdExt, workchain: int, shard: int) -> _Shard | None:
        """A shard's last block under a masterchain block."""
        return self._shards.get((master.root_hash, master.seqno, workchain, shard))

    def add_shard(self, master: BlockIdExt, workchain: int, shard: int, proven: _Shard) -> None:
        self._shards[master.root_hash, master.seqno, workchain, shard] = proven
        if len(self._shards) > self._limit:
            del self._shards[next(iter(self._shards))]

    def state(self, block: bytes) -> bytes | None:
        """The hash of the state after the block with this root hash."""
        return self._states.get(block)

    def add_state(self, block: bytes, proven: bytes) -> None:
        self._states[block] = proven
        if len(self._states) > self._limit:
            del self._states[next(iter(self._states))]


class ProvenAccount(NamedTuple):
    """What proofs say of an account.

    Attributes:
        address: the account.
        hash: of its state; None where there is no such account.
        last: its last transaction.
        seqno: of the masterchain block.
        time: generation time of the shard's block, Unix seconds.
    """

    address: Address
    hash: bytes | None
    last: TransactionId | None
    seqno: int
    time: int

    def read(self, state: bytes) -> AccountAt:
        """The account in `state`, which takes up to half a second.

        Raises:
            ProofInvalid: it is not the proven one.
            BadAnswer: it cannot be parsed.
        """
        account = self._missing(state) if self.hash is None else self._account(state)
        return AccountAt(account=account, seqno=self.seqno, time=self.time, proven=True)

    def _missing(self, state: bytes) -> Account:
        if state:
            raise ProofInvalid("the state of an account that is proven to be missing")
        return missing(self.address)

    def _account(self, state: bytes) -> Account:
        if not state:
            raise ProofInvalid("no state of an account that is proven to exist")
        root = read_one(state, max_cells=MAX_ACCOUNT_CELLS)
        if root.hash != self.hash:
            raise ProofInvalid("the account's state is not the proven one: hashes differ")
        if root.level:
            raise ProofInvalid("the account's state is pruned")
        return parse_account(root, self.address, self.last)


def proven_account(
    fields: tl.Fields, block: BlockIdExt, address: Address, known: KnownBlocks
) -> ProvenAccount:
    """Check the proofs of ``liteServer.accountState``; its ``state`` is read with the result.

    Args:
        fields: the answer.
        block: the requested masterchain block.
        address: the requested account.
        known: blocks whose proofs need not be checked again.

    Raises:
        ProofInvalid: it does not follow from `block`.
        BadAnswer: it cannot be parsed.
    """
    if BlockIdExt.from_dict(fields["id"]) != block:
        raise ProofInvalid(f"asked at block {block.seqno}, got an answer at another block")
    shard = BlockIdExt.from_dict(fields["shardblk"])
    if address.workchain != MASTERCHAIN:
        _check_shard(fields["shard_proof"], block, shard, address, known)
    elif shard != block:
        raise ProofInvalid("a masterchain account's state is of another block")
    state = _state_of(shard, fields["proof"], known)
    dictionary = Slice(state.accounts).maybe_ref()
    leaf = find(dictionary, int.from_bytes(address.hash, "big"), 256) if dictionary else None
    if leaf is None:
        return ProvenAccount(address, None, None, block.seqno, state.gen_utime)
    leaf.uint(5)
    leaf.currencies()
    expected = leaf.ref().hash
    hash_, lt = leaf.take(32), leaf.uint(64)
    last = TransactionId(lt, hash_) if lt else None
    return ProvenAccount(address, expected, last, block.seqno, state.gen_utime)


def header_time(proof: bytes, block: BlockIdExt) -> int:
    """A block's generation time, Unix seconds, from the proof of its header.

    Raises:
        ProofInvalid: the proof is of another block.
        BadAnswer: it cannot be parsed.
    """
    (root,) = _proven(proof, 1)
    info = _block_info(root, block)
    info.uint(64)
    return info.uint(32)


def linked_transactions(
    bag: bytes, address: Address, last: TransactionId, count: int
) -> Iterator[Transaction]:
    """The transactions of ``liteServer.transactionList``, each checked to be the one linked to.

    Lazy, since a transaction that sends 255 messages takes milliseconds to parse.

    Args:
        bag: one root for each, newest first.
        address: the account.
        last: the newest.
        count: the requested number.

    Raises:
        ProofInvalid: one is not what the newer one links to, or is of another account.
        BadAnswer: they cannot be parsed, or are more than `count`.
    """
    roots = read_boc(bag, max_cells=_MAX_TRANSACTION_CELLS)
    if len(roots) > count:
        raise BadAnswer(f"asked for {count} transactions, got {len(roots)}")
    following: TransactionId | None = last
    for root in roots:
        if following is None or root.hash != following.hash:
            raise ProofInvalid("a transaction is not the one that is linked to: hashes differ")
        if root.level:
            raise ProofInvalid("a transaction is pruned")
        transaction = parse_transaction(root)
        if transaction.account != address.hash:
            raise ProofInvalid("a transaction of another account")
        if transaction.id.lt != following.lt:
            raise ProofInvalid("a transaction of another time than the link to it says")
        following = transaction.previous
        yield transaction


def _proven(proof: bytes, number: int) -> list[Cell]:
    """The contents of `number` Merkle proofs in one bag, whose hashes the caller checks."""
    roots = read_boc(proof, max_cells=_MAX_PROOF_CELLS)
    if len(roots) != number:
        raise BadAnswer(f"a proof has {len(roots)} roots where {number} are needed")
    for root in roots:
        if root.exotic != MERKLE_PROOF:
            raise ProofInvalid("a proof is not a Merkle proof")
    return [root.refs[0] for root in roots]


def _block_info(root: Cell, block: BlockIdExt) -> Slice:
    """``BlockInfo`` of the block with this id, read up to its shard's prefix."""
    if root.hash != block.root_hash:
        raise ProofInvalid(f"the proof is not of block {block.seqno}: hashes differ")
    data = Slice(root)
    if data.uint(32) != 0x11EF55AA:
        raise BadAnswer("a proof shows something else than a block")
    info = Slice(data.ref())
    if info.uint(32) != 0x9BC7A987:
        raise BadAnswer("a block without a header")
    info.uint(32 + 8 + 8)
    seqno = info.uint(32)
    info.uint(32 + 8)
    if seqno != block.seqno or info.sint(32) != block.workchain:
        raise ProofInvalid("the proof's header is of another block")
    return info


class _State(NamedTuple):
    """The fields in use of block.tlb's ``ShardStateUnsplit``."""

    gen_utime: int
    accounts: Cell
    custom: Cell | None


def _state_of(block: BlockIdExt, proof: bytes, known: KnownBlocks) -> _State:
    """The state after `block`, from a proof of the block and another of the state."""
    root, state_root = _proven(proof, 2)
    state_hash = known.state(block.root_hash)
    if state_hash is None:
        if root.hash != block.root_hash:
            raise ProofInvalid(f"the proof is not of block {block.seqno}: hashes differ")
        if Slice(root).uint(32) != 0x11EF55AA or len(root.refs) != 4:
            raise BadAnswer("a proof shows something else than a block")
        update = root.refs[2]
        if update.exotic != MERKLE_UPDATE:
            raise ProofInvalid("a block's proof does not show its state")
        state_hash = update.body[35:67]
        known.add_state(block.root_hash, state_hash)
    if state_root.hash != state_hash:
        raise ProofInvalid(f"the state is not that of block {block.seqno}: hashes differ")
    return _read_state(state_root, block)


def _read_state(root: Cell, block: BlockIdExt) -> _State:
    data = Slice(root)
    if data.uint(32) != 0x9023AFE2:
        raise BadAnswer("a block's state is none")
    data.uint(32 + 8)
    workchain = data.sint(32)
    data.uint(64)
    seqno = data.uint(32)
    if (workchain, seqno) != (block.workchain, block.seqno):
        raise ProofInvalid(f"the state is that of block {seqno} in workchain {workchain}")
    data.uint(32)
    gen_utime = data.uint(32)
    data.uint(64 + 32 + 1)
    data.ref()
    accounts = data.ref()
    data.ref()
    return _State(gen_utime, accounts, data.maybe_ref())


def _check_shard(
    proof: bytes, block: BlockIdExt, shard: BlockIdExt, address: Address, known: KnownBlocks
) -> None:
    """Check that `shard` is the last block under `block` of the shard that `address` is in."""
    if shard.workchain != address.workchain or not _covers(shard.shard, address):
        raise ProofInvalid("the account's state is of a shard that the account is not in")
    proven = known.shard(block, shard.workchain, shard.shard)
    if proven is None:
        state = _state_of(block, proof, known)
        prefix, proven = _find_shard(state, address)
        if prefix != shard.shard:
            raise ProofInvalid("the account's shard is another one")
        known.add_shard(block, shard.workchain, shard.shard, proven)
    if proven != (shard.seqno, shard.root_hash, shard.file_hash):
        raise ProofInvalid(f"block {shard.seqno} is not the last of its shard at that time")


def _covers(shard: int, address: Address) -> bool:
    """Whether an address is in a shard: the prefix before the lowest set bit is its own."""
    shard &= _UNSIGNED
    lowest = shard & -shard
    prefix = int.from_bytes(address.hash[:8], "big")
    return bool(lowest) and not (prefix ^ shard) & ~(2 * lowest - 1) & _UNSIGNED


def _find_shard(state: _State, address: Address) -> tuple[int, _Shard]:
    """The shard that `address` is in, as TL writes it, and its last block."""
    if state.custom is None:
        raise BadAnswer("a masterchain state without shards")
    extra = Slice(state.custom)
    if extra.uint(16) != 0xCC26:
        raise BadAnswer("a masterchain state without shards")
    shards = extra.maybe_ref()
    found = find(shards, address.workchain & 0xFFFFFFFF, 32) if shards else None
    if found is None:
        raise ProofInvalid(f"workchain {address.workchain} has no shards")
    key = int.from_bytes(address.hash[:8], "big")
    at = found.ref()
    node = Slice(at)
    depth = 0
    while node.bit():
        depth += 1
        if depth > _MAX_SPLIT or len(at.refs) != 2:
            raise BadAnswer("shards split in an impossible way")
        at = at.refs[key >> 64 - depth & 1]
        node = Slice(at)
    end = 1 << 63 - depth
    prefix = key & ~(2 * end - 1) & _UNSIGNED | end
    if node.uint(4) not in {0xA, 0xB}:
        raise BadAnswer("a shard without a description")
    seqno = node.uint(32)
    node.uint(32 + 64 + 64)
    return prefix - (prefix >> 63 << 64), _Shard(seqno, node.take(32), node.take(32))
