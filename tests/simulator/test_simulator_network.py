"""The whole simulator: config, faults by name, the control port, the command."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import yaml
from pytoniq_core.crypto.ciphers import create_aes_ctr_cipher

from tonwatch.commands.simulate import run_simulator
from tonwatch.simulator.control import Control
from tonwatch.simulator.faults.fault import ActiveFault, Fault, parse_faults
from tonwatch.simulator.network import Simulator, UnknownTarget
from tonwatch.simulator.scenarios.scenario import Scenario, Step
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.liteserver import tl

# Both read files at their first use, which must not be inside an event loop.
tl.lite_api()
create_aes_ctr_cipher(bytes(32), bytes(16))


async def test_the_config_names_servers_that_answer() -> None:
    async with Simulator(liteservers=2, providers=1, backfill=0, automatic=False) as simulator:
        config = yaml.safe_load(simulator.config_yaml("unused"))
        assert config == simulator.config()
        assert config["network"] == simulator.chain.zerostate.root_hash.hex()
        names = [(node["name"], node["role"]) for node in config["liteservers"]]
        assert names == [("node-1", "primary"), ("node-2", "reference")]
        for node, server in zip(config["liteservers"], simulator.liteservers, strict=True):
            connection = await AdnlConnection.open(
                node["host"], node["port"], server.public_key, timeout=5
            )
            await connection.ping(5)
            await connection.close()
        provider = config["providers"][0]
        assert (provider["name"], provider["kind"]) == ("provider-1", "toncenter-v2")
        async with (
            aiohttp.ClientSession() as session,
            session.get(provider["url"] + "/getMasterchainInfo") as response,
        ):
            assert response.status == 200


async def test_names_can_be_chosen_but_not_twice() -> None:
    simulator = Simulator(liteservers=["own", "public-1"], providers=0, backfill=0)
    assert [target.name for target in simulator.servers] == ["own", "public-1"]
    for names in (["a", "a"], ["chain"]):
        with pytest.raises(ValueError, match="is taken"):
            Simulator(liteservers=names, backfill=0)


async def test_it_produces_blocks_by_itself_and_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with Simulator(block_interval=0.01, backfill=0) as simulator:
        made = asyncio.Event()
        simulator.chain.subscribe(made.set)
        async with asyncio.timeout(5):
            await made.wait()
    assert asyncio.all_tasks() == before


async def test_faults_by_name() -> None:
    async with Simulator(backfill=60, automatic=False) as simulator:
        await simulator.set_fault("node-1", Fault.LAG, 10)
        await simulator.set_fault("provider-1", Fault.THROTTLE)
        await simulator.set_fault("chain", Fault.STALL)
        faults = {target.name: target.faults for target in simulator.servers}
        assert faults == {
            "node-1": (ActiveFault(Fault.LAG, 10),),
            "node-2": (),
            "provider-1": (ActiveFault(Fault.THROTTLE, 0),),
        }
        assert simulator.chain.stalled
        await simulator.clear("provider-1")
        assert simulator.target("provider-1").faults == ()
        await simulator.clear()
        assert simulator.target("node-1").faults == ()
        assert not simulator.chain.stalled


async def test_a_port_that_is_taken_closes_what_was_started() -> None:
    async with Simulator(backfill=0, automatic=False) as first:
        second = Simulator(backfill=0, automatic=False)
        second.providers[0].port = first.providers[0].port
        with pytest.raises(OSError, match="in use"):
            await second.__aenter__()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", second.liteservers[0].port)


@pytest.mark.parametrize(
    ("target", "fault", "error", "message"),
    [
        ("node-9", Fault.LAG, UnknownTarget, "targets are: chain, node-1, node-2, provider-1"),
        ("chain", Fault.LAG, ValueError, "chain \\(chain\\) cannot lag; it supports: stall"),
        ("node-1", Fault.BAD_JSON, ValueError, "it supports: refuse, hang"),
    ],
    ids=["unknown target", "chain", "unsupported"],
)
def test_impossible_faults(target: str, fault: Fault, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Simulator(backfill=0).check(target, fault)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hang", [(Fault.HANG, None)]),
        ("lag:30", [(Fault.LAG, 30.0)]),
        ("clock_skew:-2.5", [(Fault.CLOCK_SKEW, -2.5)]),
        ("lag:45 + slow:2+lossy", [(Fault.LAG, 45.0), (Fault.SLOW, 2.0), (Fault.LOSSY, None)]),
    ],
)
def test_faults_as_text(text: str, expected: list[tuple[Fault, float | None]]) -> None:
    assert parse_faults(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not FAULT or FAULT:NUMBER"),
        ("lag +", "'' is not FAULT or FAULT:NUMBER"),
        ("broken", "no fault 'broken'; faults are: refuse, hang"),
        ("lag:soon", "'soon' is not a number"),
        ("lag:", "'' is not a number"),
    ],
)
def test_faults_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_faults(text)


# The control port.


@asynccontextmanager
async def controlled() -> AsyncIterator[tuple[Simulator, Control, aiohttp.ClientSession]]:
    async with (
        Simulator(backfill=0, automatic=False) as simulator,
        Control(simulator) as control,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
    ):
        yield simulator, control, session


async def test_targets_are_listed_with_what_can_be_wrong() -> None:
    async with controlled() as (simulator, control, session):
        await simulator.set_fault("node-2", Fault.LAG, 7)
        async with session.get(f"{control.url}/targets") as response:
            targets = {target["name"]: target for target in (await response.json())["targets"]}
        assert list(targets) == ["chain", "node-1", "node-2", "provider-1"]
        assert targets["node-1"]["kind"] == "liteserver"
        assert targets["node-1"]["faults"] == []
        assert targets["node-2"]["faults"] == [{"fault": "lag", "value": 7}]
        assert list(targets["chain"]["supported"]) == ["stall", "slow_blocks", "rewind"]
        assert targets["provider-1"]["supported"]["slow"].endswith("(seconds, default 2)")


async def test_a_fault_is_set_and_ended() -> None:
    async with controlled() as (simulator, control, session):
        url = f"{control.url}/targets/node-1/faults"
        async with session.put(url, json=[{"fault": "lag", "value": 12}]) as response:
            assert response.status == 200
            expected = {"name": "node-1", "faults": [{"fault": "lag", "value": 12}]}
            assert await response.json() == expected
        assert simulator.target("node-1").faults == (ActiveFault(Fault.LAG, 12),)
        async with session.delete(url) as response:
            assert response.status == 200
        assert simulator.target("node-1").faults == ()


async def test_the_chain_is_stalled_and_continued() -> None:
    async with controlled() as (simulator, control, session):
        url = f"{control.url}/targets/chain/faults"
        async with session.put(url, json=[{"fault": "stall"}]) as response:
            assert response.status == 200
        assert simulator.chain.stalled
        async with session.delete(url) as response:
            assert response.status == 200
        assert not simulator.chain.stalled


EXAMPLE = 'the body must be JSON such as [{"fault": "lag", "value": 30}]'


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("node-9", '[{"fault": "lag"}]', 404, "targets are: chain, node-1, node-2, provider-1"),
        ("node-1", '[{"fault": "broken"}]', 400, "faults are: refuse, hang"),
        ("node-1", '[{"fault": "bad_json"}]', 400, "it supports: refuse, hang"),
        ("node-1", '[{"fault": "lag", "value": -3}]', 400, "from 0, not -3"),
        ("node-1", '[{"fault": "lag", "value": "3"}]', 400, "value must be a number"),
        ("node-1", '[{"fault": "lag", "value": true}]', 400, "value must be a number"),
        ("node-1", '[{"fault": "lag", "for": 3}]', 400, "unknown key 'for'"),
        ("node-1", '[{"value": 3}]', 400, EXAMPLE),
        ("node-1", "lag", 400, EXAMPLE),
        ("node-1", "[]", 400, EXAMPLE),
        ("node-1", "[3]", 400, EXAMPLE),
        ("node-1", '[{"fault": "lag"}, {"fault": "lag"}]', 400, "lag is there twice"),
        ("node-1", "", 400, EXAMPLE),
    ],
)
async def test_invalid_requests(name: str, body: str, status: int, message: str) -> None:
    async with controlled() as (_, control, session):
        url = f"{control.url}/targets/{name}/faults"
        async with session.put(url, data=body) as response:
            assert response.status == status
            assert message in (await response.json())["error"]


async def test_the_fault_of_an_unknown_target_cannot_be_ended() -> None:
    async with (
        controlled() as (_, control, session),
        session.delete(f"{control.url}/targets/node-9/faults") as response,
    ):
        assert response.status == 404
        assert "targets are: chain, node-1" in (await response.json())["error"]


# The command.

COMMAND: dict[str, Any] = {"pace": 1.0, "base_port": 0, "control_port": 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_the_command_prints_a_config_and_runs_until_a_signal(
    number: signal.Signals,
) -> None:
    out = io.StringIO()
    broken = Scenario(steps=(Step(set={"node-2": "lag:30"}),))
    running = asyncio.create_task(run_simulator(broken, out=out, log=io.StringIO(), **COMMAND))
    async with asyncio.timeout(10):
        while "providers:" not in out.getvalue():
            await asyncio.sleep(0.01)
    config = yaml.safe_load(out.getvalue())
    assert [node["name"] for node in config["liteservers"]] == ["node-1", "node-2"]
    lines = out.getvalue().splitlines()
    listing = next(line.split()[-1] for line in lines if line.endswith("/targets"))
    async with aiohttp.ClientSession() as session, session.get(listing) as response:
        targets = {target["name"]: target for target in (await response.json())["targets"]}
    assert targets["node-2"]["faults"] == [{"fault": "lag", "value": 30}]
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await running


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_port": 65_534}, "the ports 65534 to 65536 are not all"),
        ({"base_port": -1}, "the ports -1 to 1 are not all"),
        (
            {"scenario": Scenario(steps=(Step(set={"node-9": "lag"}),))},
            "targets are: chain, node-1",
        ),
        ({"scenario": Scenario(steps=(Step(set={"node-1": "bad_json"}),))}, "supports: refuse"),
    ],
    ids=str,
)
async def test_the_command_refuses_invalid_arguments(change: dict[str, Any], message: str) -> None:
    out, log = io.StringIO(), io.StringIO()
    with pytest.raises(ValueError, match=message):
        await run_simulator(
            **({"scenario": Scenario()} | COMMAND | change | {"out": out, "log": log})
        )
    assert out.getvalue() == log.getvalue() == ""
