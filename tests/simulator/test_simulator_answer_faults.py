"""Faults of what a server says: accounts, block times, clocks, messages, queues."""

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from tests.simulator.small_network import (
    NOW,
    PATIENCE,
    SmallNetwork,
    connect,
    get,
    info,
    small_network,
)
from tonwatch.simulator.chain.block_layout import WHOLE_SHARD
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import boc, cell
from tonwatch.ton.liteserver import tl

ADDRESS = Address(0, bytes.fromhex("77" * 32))
MESSAGE = boc(SimMessage(source=None, destination=ADDRESS, body=cell(b"hello")).cell)
LAST_TRANSACTION = {"lt": 1, "hash": "77" * 32, "count": 1}


async def ask(it: SmallNetwork, function: str, constructor: str, **arguments: Any) -> tl.Fields:
    connection = await connect(it.node)
    try:
        body = (await connection.query(tl.encode_query(function, arguments), PATIENCE)).body
    finally:
        await connection.close()
    return tl.decode(body, f"liteServer.{constructor}")


async def error(it: SmallNetwork, function: str, **arguments: Any) -> tuple[int, str]:
    fields = await ask(it, function, "error", **arguments)
    return fields["code"], fields["message"]


async def post(it: SmallNetwork, method: str, body: dict[str, Any]) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{it.provider.url}/{method}", json=body) as response,
    ):
        return response.status, await response.json()


async def result(it: SmallNetwork, method: str) -> Any:
    status, body = await get(it.provider, method)
    assert status == 200
    assert isinstance(body, dict)
    return body["result"]


# Accounts.


def lacks(it: SmallNetwork) -> str:
    block = it.chain.head.shard
    assert block is not None
    lag = "(possibly out of sync: shard_client_seqno=80 ls_seqno=80)"
    return f"cannot load block {block.id} : block handle not in db {lag}"


CODES = [
    (None, 652, "TIMEOUT", "timeout"),
    (-400, -400, "UNKNOWN", "cannot unpack state header"),
    (500, 500, "UNKNOWN", "internal server error"),
    (651, 651, "NOTREADY", None),
]


@pytest.mark.parametrize(("value", "code", "_", "text"), CODES)
async def test_a_node_whose_accounts_fail(
    value: float | None, code: int, _: str, text: str | None
) -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.ACCOUNTS_FAIL, value)
        head = it.chain.head.id.tl()
        account = {"workchain": 0, "id": "77" * 32}
        queries: dict[str, dict[str, Any]] = {
            "getAccountState": {"id": head, "account": account},
            "runSmcMethod": {
                "mode": 4,
                "id": head,
                "account": account,
                "method_id": 85143,
                "params": b"",
            },
            "getTransactions": {"account": account, **LAST_TRANSACTION},
        }
        for function, arguments in queries.items():
            assert await error(it, function, **arguments) == (code, text or lacks(it))
        for mode in (0, 1):
            last = await ask(it, "getMasterchainInfoExt", "masterchainInfoExt", mode=mode)
            assert last["last"]["seqno"] == 80
        await ask(it, "getBlockHeader", "blockHeader", id=head, mode=0)
        await it.node.clear_faults()
        await ask(it, "getAccountState", "accountState", **queries["getAccountState"])


@pytest.mark.parametrize(("value", "_", "name", "text"), CODES)
async def test_a_provider_whose_accounts_fail(
    value: float | None, _: int, name: str, text: str | None
) -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.ACCOUNTS_FAIL, value)
        failed = {
            "ok": False,
            "error": f"LITE_SERVER_{name}: {text or lacks(it)}",
            "code": 500,
        }
        for method in ("getAddressInformation", "getTransactions"):
            assert await get(it.provider, f"{method}?address={ADDRESS}") == (500, failed)
        body = {"address": str(ADDRESS), "method": "seqno", "stack": []}
        assert await post(it, "runGetMethod", body) == (500, failed)
        assert (await result(it, "getMasterchainInfo"))["last"]["seqno"] == 80
        await it.provider.clear_faults()
        await result(it, f"getAddressInformation?address={ADDRESS}")


async def test_a_provider_whose_accounts_come_from_an_older_block() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.SHARD_LAG, 30)
        assert (await result(it, "getMasterchainInfo"))["last"]["seqno"] == 80
        account = await result(it, f"getAddressInformation?address={ADDRESS}")
        assert account["block_id"]["seqno"] == 50
        assert account["sync_utime"] == NOW - 12
        body = {"address": str(ADDRESS), "method": "seqno", "stack": []}
        status, answer = await post(it, "runGetMethod", body)
        assert (status, answer["result"]["block_id"]["seqno"]) == (200, 50)
        newer = f"getAddressInformation?address={ADDRESS}&seqno=60"
        code, failed = await get(it.provider, newer)
        assert code == 500
        assert isinstance(failed, dict)
        assert failed["error"].startswith("LITE_SERVER_NOTREADY: cannot load block (0,")
        assert failed["error"].endswith("shard_client_seqno=50 ls_seqno=80)")


# Times.


@pytest.mark.parametrize("late", [25, -40])
async def test_false_block_times(late: int) -> None:
    async with small_network() as it:
        for target in (it.node, it.provider):
            await target.set_fault(Fault.FALSE_TIME, late)
        connection = await connect(it.node)
        said = await info(connection)
        await connection.close()
        assert (said["last_utime"], said["now"]) == (NOW + late, NOW)
        header = f"getBlockHeader?workchain=-1&shard={WHOLE_SHARD}&seqno=80"
        assert (await result(it, header))["gen_utime"] == NOW + late
        account = await result(it, f"getAddressInformation?address={ADDRESS}")
        assert account["sync_utime"] == NOW + late
        assert (await result(it, "getConsensusBlock"))["timestamp"] == NOW + late


@pytest.mark.parametrize("fault", [None, Fault.SLOW_DRIP], ids=str)
@pytest.mark.parametrize("skew", [0.0, -30.0, 90.0])
async def test_the_date_of_a_provider_is_that_of_its_own_clock(
    skew: float, fault: Fault | None
) -> None:
    async with small_network() as it, aiohttp.ClientSession() as session:
        faults = [it.provider.check(Fault.CLOCK_SKEW, skew)]
        faults += [it.provider.check(fault, 0.0)] if fault is not None else []
        await it.provider.set_faults(*faults)
        for method in ("getMasterchainInfo", "getEverything"):
            async with session.get(f"{it.provider.url}/{method}") as response:
                (date,) = response.headers.getall("Date")
            assert parsedate_to_datetime(date) == datetime.fromtimestamp(NOW + skew, UTC)


# Messages.


async def test_a_provider_forwards_that_no_contract_was_run() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.UNDECIDED_EXTERNALS)
        body = {"boc": base64.b64encode(MESSAGE).decode()}
        status, failed = await post(it, "sendBoc", body)
        assert (status, failed["error"]) == (
            500,
            (
                "LITE_SERVER_UNKNOWN: cannot apply external message to current state : "
                "External message was not accepted: cannot run message on account: inbound "
                f"external message rejected by account {'77' * 32} before smart-contract execution"
            ),
        )


async def test_a_node_that_runs_no_contract() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.UNDECIDED_EXTERNALS)
        code, text = await error(it, "sendMessage", body=MESSAGE)
        assert code == -701
        assert text.endswith(" before smart-contract execution")


@pytest.mark.parametrize(("fault", "size"), [(None, 12), (Fault.OUT_QUEUE, 9000)], ids=str)
async def test_the_outbound_queue(fault: Fault | None, size: int) -> None:
    async with small_network() as it:
        if fault is not None:
            await it.node.set_fault(fault)
        queues = await ask(it, "getOutMsgQueueSizes", "outMsgQueueSizes", mode=0)
        assert queues["ext_msg_queue_size_limit"] == 8000
        sizes = {each["id"]["workchain"]: each["size"] for each in queues["shards"]}
        assert sizes == {-1: 0, 0: size}
        assert {each["id"]["seqno"] for each in queues["shards"]} == {80}
