"""The simulated provider's answers about accounts, read by tonwatch's own client."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiolimiter import AsyncLimiter

from tests.simulator.small_network import NOW, Clock
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.contracts.wallets.wallet import Wallet
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.toncenter_v2.account_methods import BALANCE_ERROR
from tonwatch.simulator.servers.toncenter_v2.server import ToncenterV2
from tonwatch.simulator.world.world import World
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import boc, cell
from tonwatch.ton.contracts import jettons, wallets
from tonwatch.ton.contracts.accounts import AccountAt, AccountStatus
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.http import HttpClient, Timing, open_session

R = Reason
KEY = "a-key"
TIMEOUT = 5.0
UNUSED_ADDRESS = Address(0, bytes(range(32)))
NAMES = ["hot", "warm", "mild", "cool"]


class Scene(NamedTuple):
    """A provider of a chain with wallets, and a client of it."""

    clock: Clock
    world: World
    chain: Chain
    provider: ToncenterV2
    client: ToncenterClient

    @property
    def wallet(self) -> Wallet:
        return self.world.wallets[0]

    def pay(self, *amounts: int) -> None:
        """Pay these amounts, one a block and a block a second."""
        for amount in amounts:
            self.world.pay("hot", amount)
            self.wait(1.0)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.chain.advance()

    async def account(self, address: Address, seqno: int | None = None) -> AccountAt:
        return await self.client.account(address, TIMEOUT, Timing(), seqno)

    async def last(self) -> TransactionId:
        last = (await self.account(self.wallet.address)).account.last
        assert last is not None
        return last

    async def transactions(self, last: TransactionId, count: int) -> list[Transaction]:
        return await self.client.transactions(self.wallet.address, last, count, TIMEOUT, Timing())

    async def run(self, address: Address, method: str, *arguments: Any) -> Any:
        return await self.client.run_method(address, method, arguments, TIMEOUT, Timing())

    async def send(self, message: bytes) -> None:
        await self.client.send_message(message, TIMEOUT, Timing())


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    clock = Clock()
    world = World("here", wallets=NAMES)
    chain = Chain("here", world, clock=clock, backfill=5)
    provider = ToncenterV2("provider", chain, api_key=KEY)
    await provider.start()
    try:
        async with open_session() as session:
            client = ToncenterClient(
                HttpClient(provider.url, session, AsyncLimiter(1000, 1), lambda: KEY)
            )
            yield Scene(clock, world, chain, provider, client)
    finally:
        await provider.close()


async def error_of(question: Awaitable[object]) -> TonError:
    with pytest.raises(TonError) as caught:
        await question
    return caught.value


class TestAccounts:
    async def test_a_wallet(self) -> None:
        async with scene() as it:
            it.pay(3)
            found = await it.account(it.wallet.address)
            head = it.chain.head
            assert head.shard is not None
            kept = head.shard.accounts.get(it.wallet.address)
            assert kept is not None
            account = found.account
            assert account.status is AccountStatus.ACTIVE
            assert (account.balance, account.last) == (kept.balance, kept.last)
            assert wallets.kind_of(account.code_hash) is it.wallet.wallet_kind
            assert account.data is not None
            assert kept.data is not None
            assert account.data.hash == kept.data.hash
            assert (found.seqno, found.time) == (head.seqno, head.shard.gen_utime)
            assert not found.proven

    async def test_before(self) -> None:
        async with scene() as it:
            before = await it.account(it.wallet.address)
            it.pay(3)
            assert before.seqno is not None
            again = await it.account(it.wallet.address, before.seqno)
            now = await it.account(it.wallet.address)
        assert again.account.balance == before.account.balance > now.account.balance
        assert again.seqno == before.seqno

    async def test_unused(self) -> None:
        async with scene() as it:
            account = (await it.account(UNUSED_ADDRESS)).account
        assert account.status is AccountStatus.MISSING
        assert (account.balance, account.last, account.data) == (0, None, None)

    async def test_frozen(self) -> None:
        async with scene() as it:
            await it.wallet.set_fault(Fault.FROZEN)
            it.wait(1.0)
            account = (await it.account(it.wallet.address)).account
        assert account.status is AccountStatus.FROZEN
        assert account.balance > 0
        assert (account.code_hash, account.data) == (None, None)

    async def test_a_block_that_is_not_there(self) -> None:
        async with scene() as it:
            error = await error_of(it.account(it.wallet.address, 1000))
        assert error.reason is R.UPSTREAM_FAILED
        assert "cannot find block (-1,8000000000000000) seqno=1000" in error.detail

    async def test_a_false_balance(self) -> None:
        async with scene() as it:
            honest = (await it.account(it.wallet.address)).account
            await it.provider.set_fault(Fault.FALSE_BALANCE)
            account = (await it.account(it.wallet.address)).account
            unused = (await it.account(UNUSED_ADDRESS)).account
        assert account.balance == honest.balance + BALANCE_ERROR
        assert unused.status is AccountStatus.MISSING


class TestTransactions:
    async def test_in_order(self) -> None:
        async with scene() as it:
            it.pay(5, 6, 7)
            found = await it.transactions(await it.last(), 2)
            sent = [[message.value for message in one.messages_out] for one in found]
            older = found[-1].previous
            assert older is not None
            (first, *_) = await it.transactions(older, 10)
        assert sent == [[7], [6]]
        assert [message.value for message in first.messages_out] == [5]
        assert [one.time for one in found] == [int(NOW) + 3, int(NOW) + 2]

    @pytest.mark.parametrize(
        ("changes", "reason", "says"),
        [
            ({"hash": bytes(32)}, R.UPSTREAM_FAILED, "transaction hash mismatch"),
            ({"lt": 5}, R.PRUNED, "cannot locate transaction"),
        ],
    )
    async def test_none_such(self, changes: Any, reason: Reason, says: str) -> None:
        async with scene() as it:
            it.pay(5)
            last = (await it.last())._replace(**changes)
            error = await error_of(it.transactions(last, 1))
        assert error.reason is reason
        assert says in error.detail

    async def test_pruned(self) -> None:
        async with scene() as it:
            it.pay(5, 6, 7)
            last = await it.last()
            await it.provider.set_fault(Fault.PRUNE_HISTORY, 1.5)
            left = await it.transactions(last, 16)
            it.wait(10.0)
            error = await error_of(it.transactions(last, 16))
            await it.provider.clear_faults()
            whole = await it.transactions(last, 16)
        assert 1 <= len(left) < 3
        assert error.reason is R.PRUNED
        assert f"lt={last.lt}: lt not in db" in error.detail
        assert len(whole) >= 3

    async def test_a_provider_behind_does_not_know_it_yet(self) -> None:
        async with scene() as it:
            await it.provider.set_fault(Fault.STALL)
            it.pay(5)
            head = it.chain.head
            assert head.shard is not None
            kept = head.shard.accounts.get(it.wallet.address)
            assert kept is not None
            assert kept.last is not None
            error = await error_of(it.transactions(kept.last, 1))
        assert error.reason is R.PRUNED
        assert "lt not in db" in error.detail


class TestMethods:
    async def test_seqno(self) -> None:
        async with scene() as it:
            it.pay(5)
            exit_code, stack = await it.run(it.wallet.address, "seqno")
        assert (exit_code, stack) == (0, (it.wallet.seqno,))

    async def test_a_jetton_wallet(self) -> None:
        async with scene() as it:
            master = it.world.master
            assert master is not None
            owner = jettons.owner_argument(it.wallet.address)
            exit_code, (answer,) = await it.run(master.address, "get_wallet_address", owner)
            data = (await it.account(it.wallet.jettons.address)).account.data
        assert exit_code == 0
        assert data is not None
        assert answer.hash == jettons.owner_argument(it.wallet.jettons.address).hash
        assert jettons.read_data(data, it.wallet.address, master.address)

    async def test_none_such(self) -> None:
        async with scene() as it:
            assert await it.run(it.wallet.address, "get_nothing") == (11, ())
            assert await it.run(UNUSED_ADDRESS, "seqno") == (-13, ())


class TestMessages:
    @pytest.mark.parametrize("number", range(len(NAMES)))
    async def test_the_wallet_refuses(self, number: int) -> None:
        async with scene() as it:
            wallet = it.world.wallets[number]
            message = wallets.unacceptable_message(wallet.wallet_kind, wallet.address, bytes(64))
            error = await error_of(it.send(message))
        assert error.reason is R.MESSAGE_REJECTED
        assert wallets.exit_code(error.detail) in wallets.REJECTIONS[wallet.wallet_kind]

    @pytest.mark.parametrize(
        ("message", "says"),
        [(boc(cell(b"nonsense")), "external message"), (b"no cells", "external message")],
        ids=["no message", "no cells"],
    )
    async def test_no_message(self, message: bytes, says: str) -> None:
        async with scene() as it:
            error = await error_of(it.send(message))
        assert error.reason is R.MESSAGE_REJECTED
        assert says in error.detail

    async def test_no_account(self) -> None:
        async with scene() as it:
            message = wallets.unacceptable_message(it.wallet.wallet_kind, UNUSED_ADDRESS, bytes(64))
            error = await error_of(it.send(message))
        assert error.reason is R.MESSAGE_REJECTED
        assert "Failed to unpack account state" in error.detail

    async def test_all_are_rejected(self) -> None:
        async with scene() as it:
            await it.provider.set_fault(Fault.REJECT_EXTERNALS)
            wallet = it.wallet
            message = wallets.unacceptable_message(wallet.wallet_kind, wallet.address, bytes(64))
            error = await error_of(it.send(message))
        assert error.reason is R.MESSAGE_REJECTED
        assert "configuration parameter 43 is invalid" in error.detail
        assert wallets.exit_code(error.detail) is None


Sent = dict[str, Any]
ADDRESS = str(UNUSED_ADDRESS)


@pytest.mark.parametrize(
    ("verb", "method", "sent", "status", "text"),
    [
        ("GET", "getAddressInformation", {}, 422, "address"),
        ("GET", "getAddressInformation?address=EQ", {}, 416, "Incorrect address"),
        ("GET", f"getAddressInformation?address={ADDRESS}&seqno=x", {}, 422, "seqno"),
        ("GET", f"getTransactions?address={ADDRESS}&limit=0", {}, 422, "limit"),
        ("GET", f"getTransactions?address={ADDRESS}&limit=101", {}, 422, "limit"),
        ("GET", f"getTransactions?address={ADDRESS}&lt=5&hash=zz", {}, 503, "Invalid hash"),
        ("GET", "sendBoc", {}, 405, "Method Not Allowed"),
        ("GET", "runGetMethod", {}, 405, "Method Not Allowed"),
        ("POST", f"getAddressInformation?address={ADDRESS}", {}, 405, "Method Not Allowed"),
        ("POST", "sendBoc", {"json": {}}, 422, "boc"),
        ("POST", "sendBoc", {"json": []}, 422, "not a valid dict"),
        ("POST", "sendBoc", {"data": b"{"}, 422, "not a valid dict"),
        ("POST", "sendBoc", {"json": {"boc": "A"}}, 503, "padding"),
        ("POST", "runGetMethod", {"json": {"address": ADDRESS}}, 422, "method"),
        (
            "POST",
            "runGetMethod",
            {"json": {"address": ADDRESS, "method": "get", "stack": [["num", "five"]]}},
            503,
            "five",
        ),
        (
            "POST",
            "runGetMethod",
            {"json": {"address": ADDRESS, "method": "get", "stack": [["tvm.Slice", "AAAA"]]}},
            500,
            "bag of cells",
        ),
    ],
)
async def test_invalid_requests(verb: str, method: str, sent: Sent, status: int, text: str) -> None:
    async with (
        scene() as it,
        aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session,
        session.request(verb, f"{it.provider.url}/{method}", **sent) as response,
    ):
        body = await response.json()
    assert response.status == status
    assert (body["ok"], body["code"]) == (False, status)
    assert text in body["error"]


async def test_the_key_is_needed_for_posts_too() -> None:
    async with (
        scene() as it,
        aiohttp.ClientSession() as session,
        session.post(f"{it.provider.url}/sendBoc", json={"boc": ""}) as response,
    ):
        assert response.status == 401


async def test_history_without_a_beginning() -> None:
    """The last ten by default, as in a browser; none of an unused account."""
    async with scene() as it, aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        it.pay(5, 6)
        answers = []
        for address in (it.wallet.address, UNUSED_ADDRESS):
            url = f"{it.provider.url}/getTransactions?address={address}"
            async with session.get(url) as response:
                answers.append((await response.json())["result"])
    newest, nothing = answers
    assert nothing == []
    assert newest[0]["out_msgs"][0]["value"] == "6"
    assert newest[0]["utime"] == int(NOW) + 2


async def test_the_history_ends_where_the_shard_client_is() -> None:
    async with scene() as it, aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        it.pay(5, 6)
        seen = []
        for faults in ([it.provider.check(Fault.SHARD_LAG, 1)], []):
            await it.provider.set_faults(*faults)
            url = f"{it.provider.url}/getTransactions?address={it.wallet.address}"
            async with session.get(url) as response:
                newest = (await response.json())["result"][0]
            account = await it.account(it.wallet.address)
            seen.append((newest["out_msgs"][0]["value"], account.account.balance))
    (older, before), (newer, after) = seen
    assert (older, newer) == ("5", "6")
    assert before > after
