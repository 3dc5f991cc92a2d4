"""The commands as a user runs them: exit codes and texts, real processes and signals."""

import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.processes import called, finished, get, serving, started, until_status
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(liteservers=2, providers=1, block_interval=0.1) as running:
        yield running


@pytest.fixture
def config_file(simulator: Simulator, tmp_path: Path) -> Any:
    """Writes a configuration that watches the simulator."""

    def write(**settings: Any) -> str:
        file = tmp_path / "tonwatch.yaml"
        quick = {
            "probe": {"interval": "500ms", "timeout": "400ms", "stale_after": "3s"},
            "serve": {"host": "127.0.0.1", "port": 0},
            "readiness": {"drain_delay": "0s"},
        }
        file.write_text(yaml.safe_dump(simulator.config() | quick | settings))
        return str(file)

    return write


class TestRun:
    async def test_nothing_configured(self) -> None:
        code, _, err = await called("run")
        assert code == 2
        assert len(err.splitlines()) == 3
        assert "tonwatch demo" in err

    async def test_a_bad_file(self, tmp_path: Path) -> None:
        file = tmp_path / "tonwatch.yaml"
        file.write_text("serve:\n  prot: 1\n")
        code, _, err = await called("run", "--config", str(file))
        assert code == 2
        assert f"{file}:2: serve.prot: unknown key; did you mean port?" in err
        assert "Traceback" not in err

    async def test_the_file_named_by_the_environment(self, tmp_path: Path) -> None:
        code, _, err = await called("run", TONWATCH_CONFIG=str(tmp_path / "nothing.yaml"))
        assert code == 2
        assert "nothing.yaml: cannot read it" in err

    async def test_a_port_that_is_taken(self, config_file: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            taken = server.getsockname()[1]
            code, _, err = await finished("run", "--config", config_file(), f"--serve.port={taken}")
        assert code == 1
        assert f"cannot listen on 127.0.0.1 port {taken}" in err
        assert "Traceback" not in err

    async def test_it_serves_before_the_first_probe_ends(
        self, config_file: Any, simulator: Simulator
    ) -> None:
        for target in simulator.servers:
            await simulator.set_fault(target.name, Fault.HANG)
        probe = {"interval": "60s", "timeout": "50s", "stale_after": "200s"}
        async with started("run", "--config", config_file(probe=probe)) as process:
            url = await serving(process)
            assert await get(f"{url}/live") == (200, "alive\n")
            assert (await get(f"{url}/ready"))[0] == 503

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_drains_and_ends_it(self, config_file: Any, number: int) -> None:
        file = config_file(readiness={"drain_delay": "1s"})
        async with started("run", "--config", file) as process:
            url = await serving(process)
            await until_status(f"{url}/ready", 200)
            process.send_signal(number)
            await until_status(f"{url}/ready", 503)
            assert "draining" in (await get(f"{url}/ready"))[1]
            assert (await get(f"{url}/live"))[0] == 200
            _, err = await process.communicate()
        assert process.returncode == 0
        assert json.loads(err.splitlines()[-1])["event"] == "stopped"

    async def test_a_second_signal_ends_it_at_once(self, config_file: Any) -> None:
        file = config_file(readiness={"drain_delay": "1h"})
        async with started("run", "--config", file) as process:
            url = await serving(process)
            process.send_signal(signal.SIGTERM)
            await until_status(f"{url}/ready", 503)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 128 + signal.SIGTERM


class TestCheck:
    async def test_all_is_well(self, config_file: Any) -> None:
        code, out, _ = await finished("check", "--config", config_file())
        assert code == 0
        lines = out.splitlines()
        assert lines[0].split()[:3] == ["TARGET", "ROLE", "STATE"]
        assert [line.split()[0] for line in lines[1:4]] == ["node-1", "node-2", "provider-1"]
        assert lines[-1].startswith("healthy: All 3 targets are alive and in sync")

    async def test_a_problem(self, config_file: Any, simulator: Simulator) -> None:
        file = config_file()
        await simulator.servers[0].close()
        code, out, _ = await finished("check", "--config", file)
        assert code == 1
        assert "node_down: node-1 refuses connections" in out

    async def test_json(self, config_file: Any) -> None:
        code, out, _ = await finished("check", "--json", "--config", config_file())
        assert code == 0
        assert json.loads(out)["diagnosis"]["cause"] == "healthy"

    async def test_nothing_to_check(self) -> None:
        assert (await called("check"))[0] == 2


class TestConfig:
    async def test_check(self, config_file: Any) -> None:
        code, out, _ = await called("config", "check", "--config", config_file())
        assert code == 0
        assert out.startswith(
            "ok: liteservers: 2, providers: 1, wallets: 0, contracts: 0, network: "
        )

    async def test_show_is_a_configuration_again(self, config_file: Any, tmp_path: Path) -> None:
        _, shown, _ = await called("config", "show", "--config", config_file())
        again = tmp_path / "again.yaml"
        again.write_text(shown)
        _, shown_again, _ = await called("config", "show", "--config", str(again))
        assert shown_again == shown

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            pytest.param("", "nothing to watch: no liteserver and no provider", id="empty"),
            pytest.param("serve: {port: 1}", "nothing to watch", id="no targets"),
            pytest.param("liteservers: []\nproviders: []", "nothing to watch", id="empty lists"),
            pytest.param(
                "serve: {host: a..b}", "serve.host: neither a host's name", id="no place to serve"
            ),
            pytest.param(
                "providers: [{name: a, kind: toncenter-v2, url: 'http://localhost:9717/'}]",
                "serve.port: providers[0] has port 9717 of this machine",
                id="the port of a target",
            ),
        ],
    )
    async def test_all_commands_report_the_same_configuration_error(
        self, tmp_path: Path, text: str, words: str
    ) -> None:
        file = tmp_path / "tonwatch.yaml"
        file.write_text(text)
        commands = (["run"], ["check"], ["config", "check"])
        answers = [await called(*command, "--config", str(file)) for command in commands]
        assert len(set(answers)) == 1
        code, out, err = answers[0]
        assert (code, out) == (2, "")
        assert words in err

    async def test_an_empty_configuration_can_be_shown(self) -> None:
        code, out, _ = await called("config", "show")
        assert code == 0
        assert yaml.safe_load(out)["liteservers"] == []

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            ('--liteservers=[{"name": "a", "name": "b"}]', "--liteservers:1: [0].name: this key"),
            ('--liteservers={"name": "a"},{"port": 1, "port": 2}', "[1].port: this key is written"),
            ('--serve={"port": 1, "port": 2}', "--serve:1: port: this key is written twice"),
            ("--liteservers=[{", "flags: "),
            ("--liteservers=" + "[" * 10_000, "more than 50 levels deep"),
        ],
    )
    async def test_flags_that_hold_json(self, flag: str, words: str) -> None:
        code, _, err = await called("config", "check", flag)
        assert code == 2
        assert words in err
        assert "Traceback" not in err

    async def test_schema(self) -> None:
        code, out, _ = await called("config", "schema")
        assert code == 0
        assert "liteservers" in json.loads(out)["properties"]


class TestHealthcheck:
    """For every kind of listening host see test_healthcheck.py."""

    async def test_alive(self, config_file: Any) -> None:
        async with started("run", "--config", config_file()) as process:
            port = (await serving(process)).rpartition(":")[2]
            code, out, _ = await finished(
                "healthcheck", TONWATCH_SERVE__HOST="127.0.0.1", TONWATCH_SERVE__PORT=port
            )
        assert (code, out) == (0, "alive\n")

    async def test_no_daemon(self) -> None:
        code, _, err = await finished("healthcheck", TONWATCH_SERVE__PORT="1")
        assert code == 1
        assert "no answer from 127.0.0.1:1" in err


class TestSimulate:
    async def test_it_prints_a_configuration_that_works(self, tmp_path: Path) -> None:
        async with started("simulate", "--fault", "node-1=refuse") as process:
            assert process.stdout is not None
            before = await process.stdout.readuntil(b"providers:")
            provider = await process.stdout.readuntil(b"role: reference\n")
            file = tmp_path / "simulated.yaml"
            file.write_bytes(before + provider)
            code, out, _ = await finished("check", "--config", str(file))
            assert code == 1
            assert "node_down: node-1 refuses connections" in out
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--fault", "node-9=lag"], "no target 'node-9'"),
            (["--fault", "node-1=explode"], "explode"),
            (["--fault", "node-1"], "'node-1' is not TARGET=FAULT or TARGET=FAULT:NUMBER"),
            (["--fault", "node-1=lag", "--fault", "node-1=lag:5"], "lag is there twice"),
            (["--liteservers", "0", "--providers", "0"], "at least one"),
            (["--liteservers", "-1"], "network.liteservers"),
            (["--block-interval", "0"], "network.block_interval"),
            (["--scenario", "nope"], "no file and no scenario 'nope'"),
            (["--scenario", "egress", "--liteservers", "3"], "--scenario defines the network"),
            (["--base-port", "65535"], "the ports 65535 to 65537"),
            (["--pace", "0"], "the pace must be a number above zero"),
            (["--pace", "nan"], "the pace must be a number above zero"),
            (["--pace", "inf"], "the pace must be a number above zero"),
            (["--control-port", "65536"], "a port is a number up to 65535"),
        ],
    )
    async def test_mistakes(self, arguments: list[str], words: str) -> None:
        code, _, err = await called("simulate", *arguments)
        assert code == 2
        assert words in err

    async def test_a_scenario_is_not_taken_for_a_configuration(self) -> None:
        async with started("simulate", "--scenario", "node-restart", "--pace", "60") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            config = await process.stdout.readuntil(b"providers:")
            assert b"name: node-2" in config
            news = await process.stderr.readuntil(b"node-1 restarts\n")
            assert b"The primary node restarts" in news
            await process.stderr.readuntil(b"the scenario is over; no more faults until Ctrl-C\n")
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0

    async def test_the_list_of_scenarios(self) -> None:
        code, out, _ = await called("simulate", "--list")
        assert code == 0
        assert "node-restart" in out


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--pace=-1", "the pace must be"), ("--port=-1", "a port is"), ("--port=99999", "a port is")],
)
async def test_invalid_demo_arguments(argument: str, words: str) -> None:
    code, _, err = await called("demo", argument)
    assert code == 2
    assert words in err


async def test_the_demo_announces_its_fault() -> None:
    async with started("demo", "--port", "0", "--pace", "5") as process:
        assert process.stdout is not None
        output = ""
        async for line in process.stdout:
            output += line.decode()
            if "node_not_synced: node-1" in output:
                break
        assert "/health" in output
        assert "healthy: All 3 targets" in output
        assert "* node-1 was restarted" in output
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_version() -> None:
    from importlib.metadata import version

    assert await finished("--version") == (0, f"{version('tonwatch')}\n", "")
