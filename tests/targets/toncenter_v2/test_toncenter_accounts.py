"""toncenter's answers about accounts: of both server implementations, and invalid ones."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import effort
from tests.targets.toncenter_v2.providers import (
    JSON,
    LAST,
    TIMEOUT,
    Json,
    answering,
    b64,
    block,
    error_of,
    failed,
    name_of,
    ok,
)
from tests.ton.large_accounts import HIGHLOAD_CODE, CountingThreads, highload_data
from tonwatch.targets.toncenter_v2.answers import AddressInformation, Transactions
from tonwatch.targets.toncenter_v2.envelope import parse_answer
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, boc, cell
from tonwatch.ton.contracts.accounts import MAX_STATE_CELLS, AccountAt, AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.http import Timing
from tonwatch.ton.parsing import Parsing

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
S = AccountStatus

WALLET: Final = Address(0, bytes(range(32)))
CODE: Final = cell(b"code", cell(b"more code"))
DATA: Final = cell(b"data")
TIME: Final = 1_700_000_007


def information(**changes: Any) -> Json:
    """The answer of both servers for an active account."""
    return {
        "@type": "raw.fullAccountState",
        "balance": "1500000000",
        "extra_currencies": [],
        "code": b64(CODE),
        "data": b64(DATA),
        "last_transaction_id": name_of(LAST),
        "block_id": block(seqno=100),
        "frozen_hash": "",
        "sync_utime": TIME,
        "@extra": "1700000008.0:3:0.1",
        "state": "active",
    } | changes


def empty(**changes: Any) -> Json:
    """Their answer for an address without a contract."""
    return information(code="", data="", state="uninitialized") | changes


class TestAccount:
    async def test_active(self) -> None:
        async with answering(information()) as (asked, client):
            timing = Timing()
            found = await client.account(WALLET, TIMEOUT, timing)
        account = found.account
        assert (account.address, account.status) == (WALLET, S.ACTIVE)
        assert (account.balance, account.last) == (1_500_000_000, LAST)
        assert account.code_hash == CODE.hash
        assert account.data is not None
        assert account.data.hash == DATA.hash
        assert (found.seqno, found.time, found.proven) == (100, TIME, False)
        assert timing.query is not None
        query = {"address": f"0:{WALLET.hash.hex()}"}
        assert asked.requests == [("GET getAddressInformation", query, None)]

    async def test_at_a_block(self) -> None:
        async with answering(information()) as (asked, client):
            assert (await client.account(WALLET, TIMEOUT, Timing(), 100)).seqno == 100
        assert asked.requests[0][1]["seqno"] == "100"

    async def test_at_another_block_than_asked(self) -> None:
        async with answering(information()) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing(), 99))
        assert error.reason is R.BAD_ANSWER
        assert error.detail == "block_id: asked for block 99, got block 100"

    @pytest.mark.parametrize(
        ("answer", "status", "balance", "last"),
        [
            # ton-http-api turns tonlib's -1 into an integer, ton-http-api-cpp hands it on.
            pytest.param(empty(balance=0), S.UNINITIALIZED, 0, LAST, id="emptied"),
            pytest.param(
                empty(balance=0, last_transaction_id=name_of(None)), S.MISSING, 0, None, id="Python"
            ),
            pytest.param(
                empty(balance="-1", last_transaction_id=name_of(None)), S.MISSING, 0, None, id="C++"
            ),
            pytest.param(
                empty(balance="0", last_transaction_id={"lt": 0, "hash": ""}),
                S.MISSING,
                0,
                None,
                id="without a hash",
            ),
            pytest.param(empty(balance="5"), S.UNINITIALIZED, 5, LAST, id="coins alone"),
            pytest.param(
                empty(balance="5", suspended=True), S.UNINITIALIZED, 5, LAST, id="suspended, C++"
            ),
            pytest.param(
                empty(state="frozen", frozen_hash=b64(bytes(32))),
                S.FROZEN,
                1_500_000_000,
                LAST,
                id="frozen",
            ),
            pytest.param(information(balance=7), S.ACTIVE, 7, LAST, id="an integer"),
            pytest.param(
                information(balance=str(2**120 - 1)), S.ACTIVE, 2**120 - 1, LAST, id="the largest"
            ),
            pytest.param(
                information(last_transaction_id={"lt": LAST.lt, "hash": b64(LAST.hash)}),
                S.ACTIVE,
                1_500_000_000,
                LAST,
                id="logical time as an integer",
            ),
        ],
    )
    async def test_states(
        self, answer: Json, status: AccountStatus, balance: int, last: TransactionId | None
    ) -> None:
        async with answering(answer) as (_, client):
            account = (await client.account(WALLET, TIMEOUT, Timing())).account
        assert (account.status, account.balance, account.last) == (status, balance, last)
        assert (account.code_hash is None) == (status is not S.ACTIVE)
        assert (account.data is None) == (status is not S.ACTIVE)

    async def test_a_contract_without_data(self) -> None:
        async with answering(information(data="")) as (_, client):
            account = (await client.account(WALLET, TIMEOUT, Timing())).account
        assert account.code_hash == CODE.hash
        assert account.data is None

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"balance": 1.0}, "balance: Value error, not a whole number but float"),
            ({"balance": 1.5}, "balance"),
            ({"balance": True}, "balance: Value error, not a whole number but bool"),
            ({"balance": None}, "balance"),
            ({"balance": [1]}, "balance"),
            ({"balance": ""}, "balance"),
            ({"balance": "1.5"}, "balance"),
            ({"balance": "1e9"}, "balance"),
            ({"balance": "0x10"}, "balance"),
            ({"balance": " 5"}, "balance"),
            ({"balance": "5 "}, "balance"),
            ({"balance": "\u0665"}, "balance"),
            ({"balance": "1_000"}, "balance"),
            ({"balance": "9" * 41}, "balance"),
            ({"balance": 2**120}, "balance"),
            ({"balance": -2}, "balance"),
            ({"balance": "-5"}, "balance"),
            ({"balance": -1}, "balance: -1 nanocoins of an account that exists"),
            ({"state": "nonexist"}, "state"),
            ({"state": ""}, "state"),
            ({"state": None}, "state"),
            ({"state": "uninitialized"}, "code: 29 bytes where the account is uninitialized"),
            ({"state": "frozen"}, "code: 29 bytes where the account is frozen"),
            ({"code": ""}, "code: 0 bytes where the account is active"),
            ({"code": 0}, "code: Value error, not base64 but int"),
            ({"code": "AAAA"}, "code: not a bag of cells"),
            ({"code": "A"}, "code"),
            ({"code": "\u2603"}, "code"),
            ({"code": b64(boc(CODE)[:-3])}, "code: a bag of cells"),
            ({"data": b64(boc(DATA) + b"x")}, "data: a bag of cells"),
            ({"data": b64(boc(DATA, CODE))}, "data: a bag of cells has 2 roots"),
            ({"data": None}, "data"),
            ({"last_transaction_id": None}, "last_transaction_id"),
            ({"last_transaction_id": {"lt": "5"}}, "last_transaction_id.hash"),
            ({"last_transaction_id": {"lt": "5", "hash": "AAAA"}}, "last_transaction_id: a hash"),
            ({"last_transaction_id": {"lt": 5.0, "hash": ""}}, "last_transaction_id.lt"),
            ({"last_transaction_id": {"lt": True, "hash": ""}}, "last_transaction_id.lt"),
            ({"last_transaction_id": {"lt": "-5", "hash": ""}}, "last_transaction_id.lt"),
            ({"last_transaction_id": {"lt": 2**64, "hash": ""}}, "last_transaction_id.lt"),
            ({"block_id": None}, "block_id"),
            ({"block_id": block(workchain=0)}, "block_id.workchain"),
            ({"block_id": block(seqno=-1)}, "block_id.seqno"),
            ({"sync_utime": -1}, "sync_utime"),
            ({"sync_utime": 2**32}, "sync_utime"),
            ({"sync_utime": "now"}, "sync_utime"),
        ],
    )
    async def test_bad(self, changes: Json, says: str) -> None:
        async with answering(information(**changes)) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing()))
        assert error.reason is R.BAD_ANSWER
        assert error.detail.startswith(says), error.detail

    @pytest.mark.parametrize("missing", ["balance", "state", "code", "data", "block_id"])
    async def test_incomplete(self, missing: str) -> None:
        answer = information()
        del answer[missing]
        async with answering(answer) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing()))
        assert (error.reason, error.detail) == (R.BAD_ANSWER, f"{missing}: Field required")

    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (416, failed("Incorrect address", 416), R.UNSUPPORTED),
            (422, failed("failed to parse seqno", 422), R.UNSUPPORTED),
            (500, failed("LITE_SERVER_NOTREADY: state already gc'd", 500), R.PRUNED),
            (542, failed("state already gc'd", 542), R.PRUNED),
            (500, failed("LITE_SERVER_NOTREADY: seqno not in db", 500), R.PRUNED),
            (500, failed("LITE_SERVER_NOTREADY: not in db", 500), R.UPSTREAM_FAILED),
        ],
    )
    async def test_errors(self, status: int, body: bytes, reason: Reason) -> None:
        async with answering((status, body)) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing(), 5))
        assert error.reason is reason


def transaction(lt: int, previous: TransactionId | None, account: bytes = WALLET.hash) -> Cell:
    """A minimal transaction."""
    before, before_hash = previous or (0, bytes(32))
    address, link = int.from_bytes(account, "big"), int.from_bytes(before_hash, "big")
    head = f"0111{address:0256b}{lt:064b}{link:0256b}{before:064b}{TIME:032b}{0:015b}1010"
    return cell(
        b"",
        cell(head="00"),
        cell(b"\x72" + bytes(64)),
        cell(head="00000000000100"),
        head=head + "00000",
    )


def history(count: int) -> list[Cell]:
    """Transactions at logical times 10, 20 and so on, the newest first."""
    made: list[Cell] = []
    previous = None
    for number in range(1, count + 1):
        made.append(transaction(10 * number, previous))
        previous = TransactionId(10 * number, made[-1].hash)
    return made[::-1]


def item(root: Cell, lt: int, **changes: Any) -> Json:
    return {
        "@type": "raw.transaction",
        "utime": TIME,
        "data": b64(root),
        "transaction_id": name_of(TransactionId(lt, root.hash)),
        "fee": "0",
    } | changes


CHAIN: Final = history(4)
"""At logical times 40, 30, 20 and 10."""
NEWEST: Final = TransactionId(40, CHAIN[0].hash)
ITEMS: Final = [item(root, 40 - 10 * index) for index, root in enumerate(CHAIN)]
OF_ANOTHER_ACCOUNT: Final = transaction(40, None, bytes(32))
PRUNED: Final = (
    500,
    failed(
        "LITE_SERVER_UNKNOWN: cannot compute block with specified transaction: cannot find block "
        "(0,c25e8b92e48f9c50) lt=29142750000001: lt not in db",
        500,
    ),
)


class TestExtraCurrencies:
    @pytest.mark.parametrize(
        ("reported", "read"),
        [
            pytest.param([], {}, id="none"),
            pytest.param(
                [{"@type": "extraCurrency", "id": 100, "amount": "5000000000"}],
                {100: 5_000_000_000},
                id="one",
            ),
            pytest.param([{"id": -1, "amount": 7}], {0xFFFFFFFF: 7}, id="a signed id"),
            pytest.param(None, None, id="an older server does not report them"),
        ],
    )
    async def test_they_are(self, reported: Any, read: Any) -> None:
        answer = information(extra_currencies=reported)
        if reported is None:
            del answer["extra_currencies"]
        async with answering(answer) as (_, client):
            assert (await client.account(WALLET, TIMEOUT, Timing())).account.currencies == read

    @pytest.mark.parametrize(
        "reported", [[{"id": 100}], [{"id": 1 << 32, "amount": "1"}], [{"id": 1, "amount": "-1"}]]
    )
    async def test_invalid_ones(self, reported: Any) -> None:
        async with answering(information(extra_currencies=reported)) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing()))
        assert error.reason is R.BAD_ANSWER


class TestLargeAnswers:
    async def read(self, data: Cell, threads: CountingThreads) -> AccountAt:
        answer = information(code=b64(HIGHLOAD_CODE), data=b64(data))
        async with answering(answer, parsing=Parsing(threads)) as (_, client):
            return await client.account(WALLET, TIMEOUT, Timing())

    @pytest.mark.parametrize(
        ("queries", "calls"),
        [
            pytest.param(0, 0, id="small"),
            pytest.param(3000, 1, id="6,010 cells"),
            pytest.param(MAX_STATE_CELLS // 2 - 1, 1, id="as many as there can be"),
        ],
    )
    async def test_a_highload_wallet_that_remembers_queries(self, queries: int, calls: int) -> None:
        data = highload_data(queries) if queries else DATA
        with CountingThreads() as threads:
            found = await self.read(data, threads)
            assert threads.calls == calls
        assert found.account.data is not None
        assert found.account.data.hash == data.hash

    async def test_more_than_that_are_refused(self) -> None:
        with CountingThreads() as threads:
            error = await error_of(self.read(highload_data(MAX_STATE_CELLS), threads))
        assert str(error.detail).startswith("data: a bag of")

    async def test_many_small_parts_are_not_parsed(self) -> None:
        """The interpreter's lock would be held meanwhile."""
        body = b"[" + b"0," * (600 * 1024) + b"0]"
        async with answering((200, body)) as (_, client):
            error = await error_of(client.account(WALLET, TIMEOUT, Timing()))
        assert error.reason is R.ANSWER_TOO_LARGE


class TestTransactions:
    async def test_in_order(self) -> None:
        async with answering(ITEMS) as (asked, client):
            found = await client.transactions(WALLET, NEWEST, 10, TIMEOUT, Timing())
        assert [one.id for one in found] == [
            TransactionId(lt, root.hash) for lt, root in zip((40, 30, 20, 10), CHAIN, strict=True)
        ]
        assert [one.previous for one in found] == [one.id for one in found[1:]] + [None]
        assert asked.requests == [
            (
                "GET getTransactions",
                {
                    "address": str(WALLET),
                    "lt": "40",
                    "hash": b64(NEWEST.hash),
                    "limit": "10",
                },
                None,
            )
        ]

    async def test_some(self) -> None:
        async with answering(ITEMS[:2]) as (_, client):
            found = await client.transactions(WALLET, NEWEST, 2, TIMEOUT, Timing())
        assert [one.id.lt for one in found] == [40, 30]

    @pytest.mark.parametrize(
        ("answer", "reason", "says"),
        [
            pytest.param([], R.BAD_ANSWER, "got 0", id="none"),
            pytest.param(ITEMS, R.BAD_ANSWER, "up to 3 transactions, got 4", id="too many"),
            pytest.param(ITEMS[1:], R.PROOF_INVALID, "transaction 0 is not", id="others"),
            pytest.param(
                [ITEMS[0], ITEMS[2]], R.PROOF_INVALID, "transaction 1 is not", id="one left out"
            ),
            pytest.param(ITEMS[:1] * 2, R.PROOF_INVALID, "transaction 1 is not", id="one twice"),
            pytest.param(ITEMS[2::-1], R.PROOF_INVALID, "transaction 0 is not", id="backwards"),
            pytest.param(
                [item(OF_ANOTHER_ACCOUNT, 40)],
                R.PROOF_INVALID,
                "another account's",
                id="another account's",
            ),
            pytest.param(
                [item(CHAIN[0], 40, transaction_id=name_of(LAST))],
                R.PROOF_INVALID,
                "transaction 0 is not",
                id="under another name",
            ),
            pytest.param(
                [item(CHAIN[1], 40, transaction_id=name_of(NEWEST))],
                R.PROOF_INVALID,
                "transaction 0 is not",
                id="other data",
            ),
            pytest.param(
                [item(CHAIN[0], 40, data="AAAA")], R.BAD_ANSWER, "0.data: not a bag", id="no cells"
            ),
            pytest.param([item(CHAIN[0], 40, data=5)], R.BAD_ANSWER, "0.data", id="no base64"),
            pytest.param([item(DATA, 40)], R.BAD_ANSWER, "", id="no transaction"),
            pytest.param([None], R.BAD_ANSWER, "0", id="null"),
            pytest.param({"transactions": []}, R.BAD_ANSWER, "list", id="no list"),
            pytest.param(None, R.BAD_ANSWER, "list", id="nothing"),
        ],
    )
    async def test_bad(self, answer: Any, reason: Reason, says: str) -> None:
        async with answering(answer) as (_, client):
            error = await error_of(client.transactions(WALLET, NEWEST, 3, TIMEOUT, Timing()))
        assert error.reason is reason, error
        assert says in error.detail

    async def test_pruned_history_is_asked_of_archives(self) -> None:
        async with answering(PRUNED, ITEMS) as (asked, client):
            timing = Timing()
            found = await client.transactions(WALLET, NEWEST, 10, TIMEOUT, timing)
        assert len(found) == 4
        first, second = (query for _, query, _ in asked.requests)
        assert "archival" not in first
        assert second == first | {"archival": "true"}
        assert timing.query is not None

    async def test_the_rest_of_a_pruned_history_is_found(self) -> None:
        async with answering(PRUNED, PRUNED, PRUNED, ITEMS[:2]) as (asked, client):
            found = await client.transactions(WALLET, NEWEST, 10, TIMEOUT, Timing())
        assert [one.id.lt for one in found] == [40, 30]
        assert [query["limit"] for _, query, _ in asked.requests] == ["10", "10", "5", "2"]

    @pytest.mark.parametrize(
        "text",
        [
            "LITE_SERVER_UNKNOWN: cannot compute block with specified transaction: lt not in db",
            "unable to load block (0,8):28 with specified transaction: not in db",
            "LITE_SERVER_UNKNOWN: cannot load block (0,8):ED with specified transaction: not in db",
            "LITE_SERVER_UNKNOWN: cannot locate transaction in block with specified logical time",
        ],
    )
    @pytest.mark.parametrize("status", [500, 542])
    async def test_pruned_for_good(self, status: int, text: str) -> None:
        answer = (status, failed(text, status))
        async with answering(*[answer] * 4) as (asked, client):
            error = await error_of(client.transactions(WALLET, NEWEST, 4, TIMEOUT, Timing()))
        assert error.reason is R.PRUNED
        assert "specified" in error.detail
        assert [query["limit"] for _, query, _ in asked.requests] == ["4", "4", "2", "1"]

    async def test_other_errors_end_it(self) -> None:
        async with answering((429, failed("Ratelimit exceed", 429))) as (asked, client):
            error = await error_of(client.transactions(WALLET, NEWEST, 4, TIMEOUT, Timing()))
        assert error.reason is R.RATE_LIMITED
        assert len(asked.requests) == 1

    async def test_a_long_answer_is_read(self) -> None:
        """One transaction that sent 255 messages comes with some 300 KiB of JSON."""
        long = item(CHAIN[0], 40, out_msgs=["x" * 1000] * 300)
        async with answering([long]) as (_, client):
            assert len(await client.transactions(WALLET, NEWEST, 1, TIMEOUT, Timing())) == 1

    @pytest.mark.parametrize("nonsense", [b"0,", b"{},", b"[],"])
    def test_a_list_of_nonsense_is_refused_at_once(self, nonsense: bytes) -> None:
        body = b'{"ok":true,"result":[' + nonsense * (1024 * 1000 // len(nonsense)) + b"0]}"
        with effort(10_000), pytest.raises(TonError) as caught:
            parse_answer(200, body, model=Transactions)
        assert caught.value.reason is R.BAD_ANSWER

    async def test_an_endless_answer_is_cut(self) -> None:
        async with answering((200, b" " * (4 * 1024 * 1024 + 1))) as (_, client):
            error = await error_of(client.transactions(WALLET, NEWEST, 1, TIMEOUT, Timing()))
        assert error.reason is R.ANSWER_TOO_LARGE


@given(st.sampled_from(sorted(information())), JSON | st.binary(max_size=60).map(b64))
def test_any_field_is_an_account_or_a_ton_error(field: str, value: Any) -> None:
    try:
        answer = parse_answer(200, ok(information(**{field: value})), model=AddressInformation)
        found = answer.read(WALLET, None)
    except TonError:
        return
    assert 0 <= found.account.balance < 1 << 120


GARBAGE = st.binary(max_size=99).map(lambda data: item(DATA, 40, data=b64(data)))


@given(JSON | st.lists(JSON | GARBAGE))
def test_any_history_is_refused(answer: Any) -> None:
    with pytest.raises(TonError):
        parse_answer(200, ok(answer), model=Transactions).read(WALLET, NEWEST, 3)
