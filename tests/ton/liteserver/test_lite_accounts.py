"""The lite client's queries about accounts: encoded for a node, verified, and bounded."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from pytoniq_core.tl.block import BlockIdExt
from pytoniq_core.tlb.vm_stack import VmStack

from tests.effort import effort
from tests.ton.large_accounts import (
    HIGHLOAD_CODE,
    LAST_CLEAN,
    CountingThreads,
    cells_below,
    highload_data,
)
from tests.ton.liteserver.small_chain import SmallChain, account, active
from tests.ton.peers import (
    Peer,
    Server,
    lite_error,
    lite_query,
    query_then,
    recorded,
    recorded_answers,
    replay,
)
from tonwatch.ton.address import Address
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.cells.boc import read_boc, read_one
from tonwatch.ton.cells.cell import Cell, boc, cell
from tonwatch.ton.contracts.accounts import (
    MAX_ACCOUNT_CELLS,
    MAX_STATE_CELLS,
    AccountAt,
    AccountStatus,
    MethodResult,
)
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind, read_data
from tonwatch.ton.errors import BadAnswer, LiteServerError, ProofInvalid, Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.liteserver.proofs import KnownBlocks
from tonwatch.ton.parsing import Parsing

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
TIMEOUT: Final = 5.0
WALLET: Final = Address(
    0, bytes.fromhex("a221b4aa790e2c1f35fde957a86c0d15398a8830d9a48667a1aadd72b0831ad9")
)
LAST: Final = TransactionId(
    3162000001, bytes.fromhex("5f2b4720d7e4f65da344063164a7929734886f8b63af27ef45e891da6348076c")
)
WRONG: Final = TransactionId(LAST.lt, 32 * b"\xee")
TRANSACTIONS: Final = recorded()["getTransactions wallet v1"]
METHOD: Final = recorded()["runSmcMethod wallet v1 seqno: seqno"]
BLOCK: Final = BlockIdExt.from_dict(
    tl.decode(recorded()["getMasterchainInfo"].answer, "liteServer.masterchainInfo")["last"]
)


@asynccontextmanager
async def node(answers: Mapping[bytes, bytes]) -> AsyncIterator[LiteClient]:
    async with Server(replay(answers)) as server:
        connection = await server.connect()
        yield LiteClient(connection)
        await connection.close()


def lite(constructor: str, fields: tl.Fields) -> bytes:
    return bytes(tl.lite_api().serialize(f"liteServer.{constructor}", fields))


def question(query: bytes) -> tl.Fields:
    """What a query asks, as pytoniq reads it."""
    fields, end = tl.lite_api().deserialize(query)
    assert isinstance(fields, dict)
    assert end == len(query)
    return fields


class TestAccount:
    async def test_recorded(self) -> None:
        known = KnownBlocks()
        async with node(recorded_answers()) as client:
            found = await client.account(BLOCK, WALLET, known, TIMEOUT)
            gone = await client.account(BLOCK, Address(0, 32 * b"\x77"), known, TIMEOUT)
        assert (found.account.balance, found.seqno, found.proven) == (99_999_968_289, 2016, True)
        assert found.account.last == LAST
        assert gone.account.status is AccountStatus.MISSING

    async def test_future_block(self) -> None:
        """The reason follows from the node's error text."""
        future = BlockIdExt(-1, None, 102016, 32 * b"\xab", 32 * b"\xcd")
        async with node(recorded_answers()) as client:
            with pytest.raises(LiteServerError, match="cannot load block") as caught:
                await client.account(future, WALLET, KnownBlocks(), TIMEOUT)
        assert caught.value.reason is R.NOT_FOUND

    async def test_answer_about_another_account(self) -> None:
        other = Address(0, 32 * b"\x78")
        asked = {"id": BLOCK.to_dict(), "account": {"workchain": 0, "id": other.hash.hex()}}
        answers = {
            lite("getAccountState", asked): recorded()["getAccountState wallet v1 basechain"].answer
        }
        async with node(answers) as client:
            with pytest.raises(ProofInvalid):
                await client.account(BLOCK, other, KnownBlocks(), TIMEOUT)

    async def test_many_at_one_block_share_what_is_known(self) -> None:
        """The proof of the shard is verified once; later answers need none."""
        addresses = [Address(0, bytes((index,)) * 32) for index in range(20)]
        chain = SmallChain({address: account(address, 7) for address in addresses})
        block = chain.master.id
        answers = {}
        for index, address in enumerate(addresses):
            fields = chain.answer(address) | ({"shard_proof": b""} if index else {})
            asked = {
                "id": block.to_dict(), "account": {"workchain": 0, "id": address.hash.hex()},
            }  # fmt: skip
            answers[lite("getAccountState", asked)] = lite("accountState", fields)
        known = KnownBlocks()
        async with node(answers) as client:
            found = [await client.account(block, address, known, TIMEOUT) for address in addresses]
        assert [each.account.balance for each in found] == 20 * [7]


async def read_large(data: Cell, threads: CountingThreads) -> AccountAt:
    """An account with this data, as a client reads it that has threads."""
    chain = SmallChain({WALLET: active(WALLET, 7, HIGHLOAD_CODE, data)})
    block = chain.master.id
    asked = {"id": block.to_dict(), "account": {"workchain": 0, "id": WALLET.hash.hex()}}
    answers = {lite("getAccountState", asked): lite("accountState", chain.answer(WALLET))}
    async with Server(replay(answers)) as server:
        connection = await server.connect()
        try:
            client = LiteClient(connection, Parsing(threads))
            return await client.account(block, WALLET, KnownBlocks(), TIMEOUT)
        finally:
            await connection.close()


class TestLargeAccounts:
    @pytest.mark.parametrize(
        ("queries", "calls"), [pytest.param(3000, 1, id="large"), pytest.param(10, 0, id="small")]
    )
    async def test_a_highload_wallet_that_remembers_queries(self, queries: int, calls: int) -> None:
        """6,010 cells with 3,000 queries: parsed in a thread."""
        data = highload_data(queries)
        with CountingThreads() as threads:
            found = await read_large(data, threads)
            assert threads.calls == calls
        assert found.proven
        assert found.account.balance == 7
        assert found.account.data is not None
        assert found.account.data.hash == data.hash
        assert read_data(WalletKind.HIGHLOAD_V2, found.account.data).last_clean == LAST_CLEAN

    async def test_as_many_cells_as_an_account_can_have(self) -> None:
        data = highload_data((MAX_STATE_CELLS - cells_below(HIGHLOAD_CODE)) // 2)
        assert cells_below(HIGHLOAD_CODE) + cells_below(data) >= MAX_STATE_CELLS - 2
        with CountingThreads() as threads:
            found = await read_large(data, threads)
        assert found.account.data is not None
        assert found.account.data.hash == data.hash

    async def test_more_than_that_are_refused(self) -> None:
        data = highload_data(MAX_ACCOUNT_CELLS // 2)
        with CountingThreads() as threads, pytest.raises(BadAnswer) as caught:
            await read_large(data, threads)
        assert caught.value.reason is R.ANSWER_TOO_LARGE

    async def test_large_transactions_are_parsed_in_a_thread(self) -> None:
        """A list that is none, of as many bytes, is refused there as well."""
        asked = {
            "count": 1, "account": {"workchain": 0, "id": WALLET.hash.hex()},
            "lt": LAST.lt, "hash": LAST.hash.hex(),
        }  # fmt: skip
        answer = listed(highload_data(3000))
        async with Server(replay({lite("getTransactions", asked): answer})) as server:
            connection = await server.connect()
            with CountingThreads() as threads:
                client = LiteClient(connection, Parsing(threads))
                with pytest.raises(ProofInvalid, match="hashes differ"):
                    await client.transactions(WALLET, LAST, 1, TIMEOUT)
                assert threads.calls == 1
            await connection.close()


def listed(*roots: Any, ids: int = 0) -> bytes:
    """``liteServer.transactionList``."""
    bag = boc(*roots) if roots else b""
    return (
        TRANSACTIONS.answer[:4] + ids.to_bytes(4, "little") + bytes(80 * ids) + wire.tl_bytes(bag)
    )


NEWEST, OLDEST = read_boc(tl.decode_transaction_list(TRANSACTIONS.answer))


async def ask(
    answer: bytes, address: Address = WALLET, last: TransactionId = LAST, count: int = 10
) -> list[TransactionId]:
    asked = {
        "count": count, "account": {"workchain": address.workchain, "id": address.hash.hex()},
        "lt": last.lt, "hash": last.hash.hex(),
    }  # fmt: skip
    async with node({lite("getTransactions", asked): answer}) as client:
        return [found.id for found in await client.transactions(address, last, count, TIMEOUT)]


class TestTransactions:
    @pytest.mark.parametrize("lt", [0, 2**63 - 1, 2**63, 2**64 - 1])
    async def test_any_logical_time_can_be_asked_for(self, lt: int) -> None:
        """A provider may name any as an account's last; TL's integers have a sign."""
        asked: list[int] = []

        async def answer(peer: Peer, query: Message) -> None:
            asked.append(question(lite_query(query))["lt"] % 2**64)
            peer.answer(query, lite_error(-400, "lt not in db"))

        async with Server(query_then(answer)) as server:
            connection = await server.connect()
            last = TransactionId(lt, bytes(32))
            with pytest.raises(LiteServerError, match="lt not in db"):
                await LiteClient(connection).transactions(WALLET, last, 1, TIMEOUT)
            await connection.close()
        assert asked == [lt]

    async def test_recorded(self) -> None:
        async with node(recorded_answers()) as client:
            newest, oldest = await client.transactions(WALLET, LAST, 10, TIMEOUT)
        assert newest.id == LAST
        assert newest.previous == oldest.id
        assert newest.account == oldest.account == WALLET.hash
        assert newest.time > oldest.time

    async def test_fewer_than_asked_for(self) -> None:
        assert await ask(listed(NEWEST, ids=1)) == [LAST]

    async def test_how_many_blocks_are_named_does_not_matter(self) -> None:
        assert len(await ask(listed(NEWEST, OLDEST))) == 2

    async def test_wrong_hash(self) -> None:
        async with node(recorded_answers()) as client:
            with pytest.raises(LiteServerError, match="hash mismatch"):
                await client.transactions(WALLET, WRONG, 10, TIMEOUT)

    async def test_pruned_history(self) -> None:
        text = "cannot compute block with specified transaction: lt not in db"
        with pytest.raises(LiteServerError) as caught:
            await ask(lite_error(-400, text))
        assert caught.value.reason is R.PRUNED

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(listed(OLDEST), id="another one"),
            pytest.param(listed(OLDEST, NEWEST), id="oldest first"),
            pytest.param(listed(NEWEST, NEWEST), id="one twice"),
            pytest.param(listed(NEWEST, OLDEST, OLDEST), id="one twice at the end"),
            pytest.param(listed(NEWEST, cell(b"of nobody")), id="a link to nothing"),
        ],
    )
    async def test_false_answers(self, answer: bytes) -> None:
        with pytest.raises(ProofInvalid, match="hashes differ"):
            await ask(answer)

    async def test_of_another_account(self) -> None:
        with pytest.raises(ProofInvalid, match="another account"):
            await ask(TRANSACTIONS.answer, address=Address(0, bytes(32)))

    async def test_of_another_time(self) -> None:
        with pytest.raises(ProofInvalid, match="another time"):
            await ask(TRANSACTIONS.answer, last=TransactionId(LAST.lt + 1, LAST.hash))

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            pytest.param(listed(), R.BAD_ANSWER, id="none at all"),
            pytest.param(recorded()["getTime"].answer, R.BAD_ANSWER, id="the time"),
            pytest.param(TRANSACTIONS.answer[:-4], R.BAD_ANSWER, id="cut short"),
            pytest.param(TRANSACTIONS.answer + bytes(4), R.BAD_ANSWER, id="trailing bytes"),
            pytest.param(TRANSACTIONS.answer[:4], R.BAD_ANSWER, id="constructor alone"),
            pytest.param(
                TRANSACTIONS.answer[:4] + b"\xff\xff\x0f\0" + bytes(2**20),
                R.BAD_ANSWER,
                id="a million blocks",
            ),
        ],
    )
    async def test_bad(self, answer: bytes, reason: Reason) -> None:
        with effort(10_000), pytest.raises(BadAnswer) as caught:
            await ask(answer)
        assert caught.value.reason is reason

    async def test_more_than_asked_for(self) -> None:
        with pytest.raises(BadAnswer, match="asked for 1 transactions, got 2"):
            await ask(TRANSACTIONS.answer, count=1)

    async def test_more_cells_than_are_read_at_once(self) -> None:
        with pytest.raises(BadAnswer) as caught:
            await ask(listed(highload_data(MAX_STATE_CELLS)))
        assert caught.value.reason is R.ANSWER_TOO_LARGE


async def run(
    fields: tl.Fields, method: str = "seqno", arguments: tuple[Any, ...] = ()
) -> tuple[MethodResult, tl.Fields]:
    """What `run_method` makes of an answer, and what it asked."""
    asked: list[tl.Fields] = []

    async def answer(peer: Peer, query: Message) -> None:
        asked.append(question(lite_query(query)))
        peer.answer(query, lite("runMethodResult", fields))

    async with Server(query_then(answer)) as server:
        connection = await server.connect()
        try:
            found = await LiteClient(connection).run_method(
                BLOCK, WALLET, method, arguments, TIMEOUT
            )
        finally:
            await connection.close()
    return found, asked[0]


def result(*values: object, exit_code: int = 0, **others: object) -> tl.Fields:
    return {
        "mode": 4, "id": BLOCK.to_dict(), "shardblk": BLOCK.to_dict(), "exit_code": exit_code,
        "result": VmStack.serialize(list(values)).to_boc(), **others,
    }  # fmt: skip


class TestRunMethod:
    async def test_recorded(self) -> None:
        """It was asked with proofs, which are more than is asked for here."""
        fields = tl.decode(METHOD.answer, "liteServer.runMethodResult")
        found, asked = await run(fields)
        assert found == MethodResult(0, (1,))
        theirs = question(METHOD.query)
        assert asked | {"mode": 7} == theirs | {"params": asked["params"]}
        assert read_one(asked["params"]).hash == read_one(theirs["params"]).hash

    async def test_asks_for_the_result_alone(self) -> None:
        _, asked = await run(result(5), "get_wallet_address", (7, cell(b"slice")))
        assert asked["mode"] == 4
        assert asked["method_id"] == 103289  # as explorers show it

    async def test_values(self) -> None:
        found, _ = await run(result(5, None, -(2**200)))
        assert found == MethodResult(0, (5, None, -(2**200)))

    @pytest.mark.parametrize(
        ("exit_code", "data"),
        [
            pytest.param(11, result()["result"], id="no such method"),
            pytest.param(-256, b"", id="no such contract"),
        ],
    )
    async def test_failures(self, exit_code: int, data: bytes) -> None:
        found, _ = await run(result(exit_code=exit_code) | {"result": data})
        assert found == MethodResult(exit_code, ())

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"result": b"junk"}, id="junk"),
            pytest.param({"result": boc(cell())}, id="no stack"),
            pytest.param({"result": boc(cell(), cell(b"2"))}, id="two roots"),
            pytest.param({"id": BLOCK.to_dict() | {"seqno": 1}}, id="at another block"),
        ],
    )
    async def test_bad(self, change: tl.Fields) -> None:
        with pytest.raises(BadAnswer):
            await run(result(1) | change)


class TestSendMessage:
    @pytest.mark.parametrize(
        ("label", "says", "reason"),
        [
            (
                "sendMessage to wallet v1, impossible seqno", "exitcode=33", R.MESSAGE_REJECTED,
            ),
            (
                "sendMessage to wallet v1, right seqno, random signature", "exitcode=34",
                R.MESSAGE_REJECTED,
            ),
            ("sendMessage to missing account", "Failed to unpack", R.MESSAGE_REJECTED),
            ("sendMessage garbage", "failed to parse external message", R.MESSAGE_REJECTED),
        ],
    )  # fmt: skip
    async def test_recorded_refusals(self, label: str, says: str, reason: Reason) -> None:
        message, _ = wire.read_tl_bytes(recorded()[label].query, 4)
        async with node(recorded_answers()) as client:
            with pytest.raises(LiteServerError, match=says) as caught:
                await client.send_message(message, TIMEOUT)
        assert caught.value.reason is reason

    @pytest.mark.parametrize(("status", "taken"), [(1, True), (0, False)])
    async def test_status(self, status: int, taken: bool) -> None:
        message = boc(cell(b"message"))
        answer = lite("sendMsgStatus", {"status": status})
        async with node({lite("sendMessage", {"body": message}): answer}) as client:
            if taken:
                await client.send_message(message, TIMEOUT)
            else:
                with pytest.raises(BadAnswer, match="status 0"):
                    await client.send_message(message, TIMEOUT)
