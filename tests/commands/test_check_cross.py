"""``tonwatch check --cross-check``: what it prints, how it ends, and what nothing else imports."""

import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.commands.processes import finished, started, until_status
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import Answer, LiteError, NodeState
from tonwatch.ton.liteserver.tl import Fields

SEEN = re.compile(r"pytoniq sees block \d+ too")
ONLY_FOR_PYTONIQ = "pytoniq|requests|urllib3|certifi|charset_normalizer|setuptools|pkg_resources"
IMPORTED = re.compile(rf"^import time:.*\| +({ONLY_FOR_PYTONIQ})$", re.MULTILINE)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(liteservers=2, providers=1, block_interval=0.1) as running:
        yield running


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> str:
    """A configuration that watches the simulator."""
    path = tmp_path / "tonwatch.yaml"
    settings = {
        "probe": {"interval": "6s", "timeout": "5s", "stale_after": "20s"},
        "serve": {"host": "127.0.0.1", "port": 0},
        "readiness": {"drain_delay": "0s"},
    }
    path.write_text(yaml.safe_dump(simulator.config() | settings))
    return str(path)


def refused(node: NodeState, arguments: Fields) -> Answer:
    raise LiteError(0, f"not here at {node.now}: {arguments}")


async def test_a_line_for_each_liteserver(file: str) -> None:
    code, out, err = await finished("check", "--cross-check", "--config", file)
    assert (code, err) == (0, "")
    lines = out.splitlines()[-2:]
    assert [line.split(": ")[0] for line in lines] == ["node-1", "node-2"]
    assert all(SEEN.fullmatch(line.split(": ")[1]) for line in lines)


async def test_one_json_document(file: str) -> None:
    code, out, err = await finished("check", "--cross-check", "--json", "--config", file)
    assert (code, err) == (0, "")
    content = json.loads(out)["cross_check"]
    assert [(each["target"], each["agrees"]) for each in content] == [
        ("node-1", True),
        ("node-2", True),
    ]
    assert all(SEEN.fullmatch(each["detail"]) for each in content)


async def test_without_it_the_document_is_as_ever(file: str) -> None:
    code, out, _ = await finished("check", "--json", "--config", file)
    assert code == 0
    assert "cross_check" not in json.loads(out)


async def test_a_disagreement_is_a_problem(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pytoniq asks for the shards, so it fails on a node that only answers that wrongly."""
    monkeypatch.setitem(queries._ANSWERS, "getAllShardsInfo", refused)
    code, out, err = await finished("check", "--cross-check", "--config", file)
    assert (code, err) == (1, "")
    assert "healthy: All 3 targets are alive and in sync" in out
    assert "node-1: tonwatch can use it, pytoniq cannot: liteserver error 0: not here" in out
    assert "Please report it" in out


async def test_a_fault_of_the_node_is_no_disagreement(file: str, simulator: Simulator) -> None:
    await simulator.set_fault("node-1", Fault.GARBAGE)
    code, out, err = await finished("check", "--cross-check", "--config", file)
    assert (code, err) == (1, "")
    assert "node-1: pytoniq cannot use it either: AssertionError: incorrect checksum" in out
    assert "report" not in out


async def test_no_liteserver(file: str) -> None:
    without = "--liteservers=[]"
    code, out, err = await finished("check", "--cross-check", "--config", file, without)
    assert code == 0
    assert out.splitlines()[-1] == "Nothing to cross-check: there is no liteserver."
    assert not err


class TestImports:
    """Python lists on stderr what it imports."""

    async def test_the_daemon_imports_no_second_client(self, file: str) -> None:
        async with started("run", "--config", file, PYTHONPROFILEIMPORTTIME="1") as process:
            assert process.stderr is not None
            imported = ""
            async for line in process.stderr:
                if line.startswith(b"{"):
                    entry = json.loads(line)
                    if entry["event"] == "serving":
                        await until_status(f"{entry['url']}/ready", 200)
                        process.send_signal(signal.SIGTERM)
                else:
                    imported += line.decode()
        assert "| tonwatch.targets.liteserver.second_client" in re.sub(" +", " ", imported)
        assert not IMPORTED.findall(imported)

    async def test_nor_does_a_check_without_it(self, file: str) -> None:
        code, _, err = await finished("check", "--config", file, PYTHONPROFILEIMPORTTIME="1")
        assert code == 0
        assert not IMPORTED.findall(err)

    async def test_a_check_with_it_does(self, file: str) -> None:
        _, _, err = await finished(
            "check", "--cross-check", "--config", file, PYTHONPROFILEIMPORTTIME="1"
        )
        assert "pytoniq" in IMPORTED.findall(err)
