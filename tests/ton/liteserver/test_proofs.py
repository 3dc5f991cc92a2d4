"""Accounts and their proofs: honest answers are read, false ones are refused."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.address import Address as TheirAddress
from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.cell import Cell as Theirs
from pytoniq_core.boc.hashmap.hashmap import HashMap
from pytoniq_core.proof.check_proof import check_account_proof, check_shard_proof
from pytoniq_core.tl.block import BlockIdExt
from pytoniq_core.tlb.account import Account as TheirAccount

from tests.effort import effort
from tests.ton.liteserver.small_chain import LAST, SmallChain, account, active, prove
from tests.ton.peers import recorded
from tonwatch.simulator.chain.accounts import extra_currencies
from tonwatch.simulator.chain.merkle import pruned
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_boc, read_one
from tonwatch.ton.cells.cell import Cell, Slice, boc, cell
from tonwatch.ton.contracts.accounts import (
    Account,
    AccountAt,
    AccountStatus,
    missing,
    parse_account,
)
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import BadAnswer, ProofInvalid, Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.proofs import KnownBlocks, proven_account
from tonwatch.ton.liteserver.tl import Fields

CODE: Final = cell(b"code", cell(b"more code"))
DATA: Final = cell(b"\0\0\0\x07data")
WALLET: Final = Address(0, bytes.fromhex("5a" * 32))
NEIGHBOUR: Final = Address(0, bytes.fromhex("5a" * 31 + "5b"))
FAR: Final = Address(0, bytes.fromhex("c3" * 32))
FROZEN: Final = Address(0, bytes.fromhex("71" * 32))
SYSTEM: Final = Address(-1, bytes.fromhex("33" * 32))
NOBODY: Final = Address(0, bytes.fromhex("5a" * 16 + "99" * 16))
NO_SYSTEM: Final = Address(-1, bytes.fromhex("34" * 32))

ACCOUNTS: Final = {
    WALLET: active(WALLET, 12_500_000_000, CODE, DATA),
    NEIGHBOUR: account(NEIGHBOUR, 1),
    FAR: active(FAR, 0, CODE, DATA),
    FROZEN: account(FROZEN, 3, "01" + 256 * "1"),
    SYSTEM: active(SYSTEM, 10**18, CODE, DATA),
}
HONEST_CHAIN: Final = SmallChain(ACCOUNTS, split=2)
BEFORE: Final = SmallChain(
    ACCOUNTS | {WALLET: active(WALLET, 99_000_000_000, CODE, DATA)}, seqno=99, split=2
)
"""The block before, in which the wallet has more."""
FORK: Final = SmallChain(
    ACCOUNTS | {WALLET: active(WALLET, 99_000_000_000, CODE, DATA)}, split=2
)  # fmt: skip
"""Another chain's block with the same seqno."""
BLOCK: Final = HONEST_CHAIN.master.id


def account_at(
    fields: Fields, block: BlockIdExt, address: Address, known: KnownBlocks
) -> AccountAt:
    return proven_account(fields, block, address, known).read(fields["state"])


def read(fields: Fields, address: Address = WALLET, known: KnownBlocks | None = None) -> Account:
    known = KnownBlocks() if known is None else known
    return account_at(fields, BLOCK, address, known).account


class TestRecorded:
    """What a real node answered at its masterchain block 2016."""

    WALLET: Final = Address(
        0, bytes.fromhex("a221b4aa790e2c1f35fde957a86c0d15398a8830d9a48667a1aadd72b0831ad9")
    )
    NOBODY: Final = Address(0, 32 * b"\x77")
    SHARD_TIME: Final = 1795432847

    @staticmethod
    def fields(label: str) -> Fields:
        return tl.decode(recorded()[label].answer, "liteServer.accountState")

    def test_wallet_as_pytoniq_reads_it(self) -> None:
        fields = self.fields("getAccountState wallet v1 basechain")
        block, shard = (BlockIdExt.from_dict(fields[name]) for name in ("id", "shardblk"))
        found = account_at(fields, block, self.WALLET, KnownBlocks())
        root = Theirs.one_from_boc(fields["state"])
        check_shard_proof(fields["shard_proof"], block, shard)
        where = TheirAddress((0, self.WALLET.hash))
        leaf = check_account_proof(fields["proof"], shard, where, root, True)
        theirs = TheirAccount.deserialize(root.begin_parse())
        state = theirs.storage.state.state_init
        assert found.account == Account(
            address=self.WALLET,
            status=AccountStatus.ACTIVE,
            balance=theirs.storage.balance.grams,
            currencies={},
            last=TransactionId(leaf.last_trans_lt, leaf.last_trans_hash),
            code_hash=state.code.hash,
            data=found.account.data,
        )
        assert found.account.balance == 99_999_968_289
        assert found.account.data is not None
        assert found.account.data.hash == state.data.hash
        assert (found.seqno, found.time, found.proven) == (2016, self.SHARD_TIME, True)

    def test_missing(self) -> None:
        fields = self.fields("getAccountState missing account")
        found = account_at(fields, BlockIdExt.from_dict(fields["id"]), self.NOBODY, KnownBlocks())
        assert found.account == missing(self.NOBODY)
        assert (found.seqno, found.time, found.proven) == (2016, self.SHARD_TIME, True)

    @given(st.data())
    def test_any_change_is_refused_or_changes_nothing(self, data: st.DataObject) -> None:
        label = "getAccountState wallet v1 basechain"
        fields = self.fields(label)
        name = data.draw(st.sampled_from(["shard_proof", "proof", "state"]))
        changed = bytearray(fields[name])
        place = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
        for position, value in data.draw(st.lists(place, min_size=1, max_size=4)):
            changed[position] = value
        block = BlockIdExt.from_dict(fields["id"])
        genuine = account_at(fields, block, self.WALLET, KnownBlocks())
        false = fields | {name: bytes(changed)}
        try:
            found = account_at(false, block, self.WALLET, KnownBlocks())
        except (BadAnswer, ProofInvalid):
            return
        assert plain(found.account) == plain(genuine.account)
        assert (found.seqno, found.time) == (genuine.seqno, genuine.time)

    @given(st.data(), st.binary(max_size=300))
    def test_any_bytes(self, data: st.DataObject, junk: bytes) -> None:
        fields = self.fields("getAccountState wallet v1 basechain")
        name = data.draw(st.sampled_from(["shard_proof", "proof", "state"]))
        magic = data.draw(st.sampled_from([b"", b"\xb5\xee\x9c\x72\x01\x01"]))
        false = fields | {name: magic + junk}
        with pytest.raises((BadAnswer, ProofInvalid)):
            account_at(false, BlockIdExt.from_dict(fields["id"]), self.WALLET, KnownBlocks())


def plain(found: Account) -> tuple[object, ...]:
    data = found.data.hash if found.data else None
    return found.address, found.status, found.balance, found.last, found.code_hash, data


class TestHonest:
    @pytest.mark.parametrize(
        ("address", "status", "balance"),
        [
            pytest.param(WALLET, AccountStatus.ACTIVE, 12_500_000_000, id="wallet"),
            pytest.param(NEIGHBOUR, AccountStatus.UNINITIALIZED, 1, id="uninitialized"),
            pytest.param(FAR, AccountStatus.ACTIVE, 0, id="in another shard, empty"),
            pytest.param(FROZEN, AccountStatus.FROZEN, 3, id="frozen"),
            pytest.param(SYSTEM, AccountStatus.ACTIVE, 10**18, id="in the masterchain"),
            pytest.param(NOBODY, AccountStatus.MISSING, 0, id="missing"),
            pytest.param(NO_SYSTEM, AccountStatus.MISSING, 0, id="missing in the masterchain"),
        ],
    )
    @pytest.mark.parametrize("split", [0, 1, 2, 5])
    def test_account(
        self, address: Address, status: AccountStatus, balance: int, split: int
    ) -> None:
        chain = SmallChain(ACCOUNTS, split=split)
        found = account_at(chain.answer(address), chain.master.id, address, KnownBlocks())
        has_code = status is AccountStatus.ACTIVE
        assert (found.account.status, found.account.balance) == (status, balance)
        assert found.account.code_hash == (CODE.hash if has_code else None)
        assert (found.account.data is not None) is has_code
        gone = status is AccountStatus.MISSING
        assert found.account.last == (None if gone else TransactionId(*LAST))
        assert (found.seqno, found.time, found.proven) == (100, chain.gen_utime, True)

    @pytest.mark.parametrize("address", [WALLET, FAR, FROZEN, NEIGHBOUR], ids=str)
    def test_pytoniq_verifies_the_same(self, address: Address) -> None:
        fields = HONEST_CHAIN.answer(address)
        shard = BlockIdExt.from_dict(fields["shardblk"])
        root = Theirs.one_from_boc(fields["state"])
        check_shard_proof(fields["shard_proof"], BLOCK, shard)
        check_account_proof(fields["proof"], shard, TheirAddress((0, address.hash)), root)
        theirs = TheirAccount.deserialize(root.begin_parse())
        assert read(fields, address).balance == theirs.storage.balance.grams

    def test_a_chain_without_accounts(self) -> None:
        chain = SmallChain({})
        found = account_at(chain.answer(WALLET), chain.master.id, WALLET, KnownBlocks())
        assert found.account.status is AccountStatus.MISSING


class TestParse:
    def test_whatever_else_an_account_has(self) -> None:
        """Old and new storage information, debts, other currencies, a special contract."""
        root = account(
            WALLET, 7, "1" + "1" + "00101" + "1" + "10" + "1" + "1" + "1", (CODE, DATA, CODE),
            storage_extra="001" + 256 * "1", due="1" + "0001" + "00000101",
            currencies=extra_currencies({100: 5}),
        )  # fmt: skip
        found = parse_account(root, WALLET, None)
        assert (found.balance, found.code_hash, found.last) == (7, CODE.hash, None)
        assert found.currencies == {100: 5}
        assert found.data is not None
        assert found.data.hash == DATA.hash

    def test_none(self) -> None:
        assert parse_account(cell(head="0"), WALLET, None) == missing(WALLET)

    @pytest.mark.parametrize(
        "root",
        [
            pytest.param(cell(), id="nothing"),
            pytest.param(cell(head="1"), id="no address"),
            pytest.param(account(WALLET, 7, "1" + "00" + "1"), id="no code"),
            pytest.param(account(WALLET, 7, storage_extra="010"), id="unknown storage"),
        ],
    )
    def test_bad(self, root: Cell) -> None:
        with pytest.raises(BadAnswer):
            parse_account(root, WALLET, None)

    def test_of_another(self) -> None:
        with pytest.raises(ProofInvalid, match="another account"):
            parse_account(ACCOUNTS[FAR], WALLET, None)


def changed(name: str, **values: object) -> Callable[[Fields], Fields]:
    """An honest answer with some values of a block id replaced."""
    return lambda fields: fields | {name: fields[name] | values}


def replaced(**values: Any) -> Callable[[Fields], Fields]:
    return lambda fields: fields | values


def from_answer(other: Fields, *names: str) -> Callable[[Fields], Fields]:
    return lambda fields: fields | {name: other[name] for name in names}


def spliced(name: str, first: bytes, second: bytes) -> Callable[[Fields], Fields]:
    """The first proof out of one bag, the second out of another."""
    roots = read_boc(first)[0], read_boc(second)[1]
    return replaced(**{name: boc(*roots)})


def unproven(name: str) -> Callable[[Fields], Fields]:
    """The cells that are proven, without the Merkle proofs around them."""
    return lambda fields: fields | {name: boc(*[root.refs[0] for root in read_boc(fields[name])])}


WHOLE: Final = SmallChain(ACCOUNTS)
"""The same accounts in one shard."""
SHARD: Final = HONEST_CHAIN.shard_of(WALLET)
HONEST: Final = HONEST_CHAIN.answer(WALLET)
RICHER: Final = active(WALLET, 99_000_000_000, CODE, DATA)
HALF_SHOWN: Final = boc(
    prove(SHARD.root, SHARD.root.refs[2]), prove(SHARD.state, SHARD.state.refs[1])
)  # fmt: skip

FALSE_ANSWERS: Final = [
    pytest.param(changed("id", seqno=101), id="id of another seqno"),
    pytest.param(changed("id", root_hash=FORK.master.id.root_hash.hex()), id="id of a fork"),
    pytest.param(changed("shardblk", seqno=1), id="shard block of another seqno"),
    pytest.param(changed("shardblk", root_hash="ab" * 32), id="shard block of another hash"),
    pytest.param(changed("shardblk", file_hash="ab" * 32), id="shard block of another file"),
    pytest.param(changed("shardblk", workchain=1), id="shard of another workchain"),
    pytest.param(changed("shardblk", workchain=-1), id="shard of the masterchain"),
    pytest.param(changed("shardblk", shard=0), id="no shard at all"),
    pytest.param(changed("shardblk", shard=-(1 << 63)), id="a larger shard"),
    pytest.param(changed("shardblk", shard=0x5800000000000000), id="a smaller shard"),
    pytest.param(from_answer(HONEST_CHAIN.answer(FAR), "shardblk"), id="shard of another account"),
    pytest.param(
        from_answer(HONEST_CHAIN.answer(FAR), "shardblk", "shard_proof"), id="another shard, proven"
    ),
    pytest.param(from_answer(HONEST_CHAIN.answer(FAR), "proof"), id="accounts of another shard"),
    pytest.param(from_answer(HONEST_CHAIN.answer(NEIGHBOUR), "state"), id="state of the neighbour"),
    pytest.param(
        from_answer(HONEST_CHAIN.answer(NEIGHBOUR), "proof", "state"), id="the neighbour, proven"
    ),
    pytest.param(from_answer(BEFORE.answer(WALLET), "state"), id="older state"),
    pytest.param(from_answer(BEFORE.answer(WALLET), "proof", "state"), id="older, proven"),
    pytest.param(
        from_answer(BEFORE.answer(WALLET), "shardblk", "proof", "state"),
        id="older, with its shard block",
    ),
    pytest.param(
        from_answer(BEFORE.answer(WALLET), "shardblk", "shard_proof", "proof", "state"),
        id="older, proven from an older masterchain block",
    ),
    pytest.param(
        from_answer(FORK.answer(WALLET), "shardblk", "shard_proof", "proof", "state"),
        id="a fork's whole answer under this block's id",
    ),
    pytest.param(
        spliced("proof", HONEST["proof"], BEFORE.answer(WALLET)["proof"]), id="state not of block"
    ),
    pytest.param(
        spliced("proof", BEFORE.answer(WALLET)["proof"], BEFORE.answer(WALLET)["proof"]),
        id="block and state of another time",
    ),
    pytest.param(replaced(state=boc(RICHER)), id="a richer state"),
    pytest.param(replaced(state=b""), id="claimed missing"),
    pytest.param(replaced(proof=HALF_SHOWN), id="the path is left out"),
    pytest.param(replaced(proof=HALF_SHOWN, state=b""), id="claimed missing on a pruned path"),
    pytest.param(replaced(state=boc(pruned(ACCOUNTS[WALLET]))), id="the state is left out"),
    pytest.param(
        replaced(state=boc(prove(ACCOUNTS[WALLET], ACCOUNTS[WALLET]).refs[0])),
        id="code and data are left out",
    ),
    pytest.param(unproven("proof"), id="no Merkle proof of the account"),
]  # fmt: skip

ONLY_UNKNOWN: Final = [
    pytest.param(
        from_answer(BEFORE.answer(WALLET), "shard_proof"), id="shard proof of another block"
    ),
    pytest.param(
        spliced("shard_proof", HONEST["shard_proof"], BEFORE.answer(WALLET)["shard_proof"]),
        id="masterchain state not of the block",
    ),
    pytest.param(from_answer(HONEST_CHAIN.answer(FAR), "shard_proof"), id="path to another shard"),
    pytest.param(from_answer(WHOLE.answer(WALLET), "shard_proof"), id="not split"),
    pytest.param(unproven("shard_proof"), id="no Merkle proof of the shard"),
    pytest.param(
        spliced("proof", BEFORE.answer(WALLET)["proof"], HONEST["proof"]), id="block not asked for"
    ),
]  # fmt: skip
"""False answers about what is not checked again for a known block."""

Falsify = Callable[[Fields], Fields]


class TestFalseAnswers:
    @pytest.mark.parametrize("falsify", FALSE_ANSWERS + ONLY_UNKNOWN)
    def test_of_an_unknown_block(self, falsify: Falsify) -> None:
        known = KnownBlocks()
        with pytest.raises(ProofInvalid) as caught:
            read(falsify(HONEST), known=known)
        assert caught.value.reason is Reason.PROOF_INVALID
        # After that an honest answer is still accepted, and the false one is not.
        assert read(HONEST, known=known).balance == 12_500_000_000

    @pytest.mark.parametrize("falsify", FALSE_ANSWERS)
    def test_of_a_known_block(self, falsify: Falsify) -> None:
        known = KnownBlocks()
        for chain in (HONEST_CHAIN, BEFORE, FORK):
            for address in (WALLET, FAR):
                account_at(chain.answer(address), chain.master.id, address, known)
        with pytest.raises(ProofInvalid):
            read(falsify(HONEST), known=known)
        assert read(HONEST, known=known).balance == 12_500_000_000

    def test_a_missing_account(self) -> None:
        fields = HONEST_CHAIN.answer(NOBODY) | {"state": boc(active(NOBODY, 5, CODE, DATA))}
        with pytest.raises(ProofInvalid, match="proven to be missing"):
            read(fields, NOBODY)

    def test_about_a_masterchain_account(self) -> None:
        fields = HONEST_CHAIN.answer(SYSTEM) | {"shardblk": BEFORE.master.id.to_dict()}
        with pytest.raises(ProofInvalid, match="another block"):
            read(fields, SYSTEM)

    @pytest.mark.parametrize("address", [WALLET, SYSTEM], ids=["basechain", "masterchain"])
    @pytest.mark.parametrize("warm", [False, True], ids=["unknown", "known"])
    def test_about_the_seqno_of_a_head(self, address: Address, warm: bool) -> None:
        """A liteserver may name an older block's hash as that of a newer block."""
        known = KnownBlocks()
        old = BEFORE.master.id
        if warm:
            account_at(BEFORE.answer(address), old, address, known)
        claimed = BlockIdExt(-1, old.shard, 100, old.root_hash, old.file_hash)
        fields = BEFORE.answer(address) | {"id": claimed.to_dict()}
        if address is SYSTEM:
            fields["shardblk"] = claimed.to_dict()
        with pytest.raises(ProofInvalid, match="the state is that of block 99"):
            account_at(fields, claimed, address, known)

    @pytest.mark.parametrize("name", ["shard_proof", "proof"])
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda _: b"", id="nothing"),
            pytest.param(lambda bag: bag[:-1], id="cut short"),
            pytest.param(lambda bag: boc(read_boc(bag)[0]), id="one root"),
            pytest.param(lambda bag: boc(*read_boc(bag), cell(b"third")), id="three roots"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read(self, name: str, make: Callable[[bytes], bytes]) -> None:
        with pytest.raises(BadAnswer):
            read(HONEST | {name: make(HONEST[name])})

    @pytest.mark.parametrize("bag", [b"junk", boc(CODE, DATA)], ids=["junk", "two roots"])
    def test_a_state_that_cannot_be_read(self, bag: bytes) -> None:
        with pytest.raises(BadAnswer):
            read(HONEST | {"state": bag})

    def test_a_proof_of_more_cells_than_any_has(self) -> None:
        giant = cell()
        for index in range(512):
            giant = cell(b"", cell(bytes((index % 256, index // 256))), giant)
        with pytest.raises(BadAnswer) as caught:
            read(HONEST | {"proof": boc(giant)})
        assert caught.value.reason is Reason.ANSWER_TOO_LARGE


class TestKnownBlocks:
    def test_a_shard_is_not_proven_twice(self) -> None:
        known = KnownBlocks()
        read(HONEST, known=known)
        read(HONEST_CHAIN.answer(NEIGHBOUR) | {"shard_proof": b"not looked at"}, NEIGHBOUR, known)

    def test_another_shard_is(self) -> None:
        known = KnownBlocks()
        read(HONEST, known=known)
        with pytest.raises(BadAnswer):
            read(HONEST_CHAIN.answer(FAR) | {"shard_proof": b"looked at"}, FAR, known)

    def test_another_block_with_the_same_shard_block_is(self) -> None:
        known = KnownBlocks()
        read(HONEST, known=known)
        with pytest.raises(BadAnswer):
            account_at(
                BEFORE.answer(WALLET) | {"shard_proof": b"looked at"}, BEFORE.master.id, WALLET,
                known,
            )  # fmt: skip

    def test_a_false_answer_adds_nothing_to_another_block(self) -> None:
        """A false answer that proves another chain adds only to what is known of that chain."""
        known = KnownBlocks()
        for address in (WALLET, SYSTEM, FAR):
            account_at(FORK.answer(address), FORK.master.id, address, known)
            with pytest.raises(ProofInvalid):
                read(FORK.answer(address) | {"id": BLOCK.to_dict()}, address, known)
        for address in (WALLET, SYSTEM, FAR):
            assert plain(read(HONEST_CHAIN.answer(address), address, known)) == plain(
                read(HONEST_CHAIN.answer(address), address)
            )

    def test_bounded(self) -> None:
        known = KnownBlocks(limit=8)
        chains = [SmallChain(ACCOUNTS, seqno=seqno, split=2) for seqno in range(100, 120)]
        for chain in chains:
            for address in (WALLET, FAR):
                account_at(chain.answer(address), chain.master.id, address, known)
            assert len(known) <= 16
        newest, oldest = chains[-1], chains[0]
        skip = {"shard_proof": b"not looked at"}
        account_at(newest.answer(WALLET) | skip, newest.master.id, WALLET, known)
        with pytest.raises(BadAnswer):
            account_at(oldest.answer(WALLET) | skip, oldest.master.id, WALLET, known)

    def test_bounded_in_what_one_block_can_add(self) -> None:
        known = KnownBlocks(limit=8)
        chain = SmallChain({}, split=5)
        for first in range(0, 256, 8):
            address = Address(0, bytes((first,)) + bytes(31))
            account_at(chain.answer(address), chain.master.id, address, known)
        assert len(known) <= 16


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_an_accounts_data_is_what_it_stores(code: bytes, data: bytes) -> None:
    root = active(WALLET, 5, cell(code), cell(data))
    found = parse_account(read_one(boc(root)), WALLET, None)
    assert found.code_hash == cell(code).hash
    assert found.data is not None
    assert Slice(found.data).take(len(data)) == data


CURRENCIES: Final = HashMap(32)
for _id, _amount in {100: 5_000_000_000, 239: 1, 0xFFFFFFFF: (1 << 248) - 1}.items():
    CURRENCIES.set_int_key(_id, Builder().store_var_uint(_amount, 5).end_cell())


class TestExtraCurrencies:
    @staticmethod
    def read(currencies: Cell | None) -> Mapping[int, int] | None:
        held = account(WALLET, 7, currencies=currencies)
        chain = SmallChain({WALLET: held})
        found = account_at(chain.answer(WALLET), chain.master.id, WALLET, KnownBlocks())
        assert found.account.balance == 7
        return found.account.currencies

    def test_as_pytoniq_writes_them(self) -> None:
        written: Any = CURRENCIES.serialize()
        assert self.read(read_one(written.to_boc())) == {
            100: 5_000_000_000,
            239: 1,
            0xFFFFFFFF: (1 << 248) - 1,
        }

    def test_none(self) -> None:
        assert self.read(None) == {}

    def test_more_than_there_can_be(self) -> None:
        """Every key of 32 bits in 33 cells: both branches of each fork are the same."""
        level = cell(b"", head="00" + "00001" + "00000001")
        for _ in range(32):
            level = cell(b"", level, level, head="00")
        root = account(WALLET, 7, currencies=level)
        with effort(20_000), pytest.raises(BadAnswer, match="too many keys"):
            parse_account(root, WALLET, None)
