"""``tonwatch check`` reads wallets and contracts; what commands print about them."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.processes import finished
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.ton.address import Address


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(
        wallets=["hot", "warm"], contracts=["vault"], block_interval=0.1, backfill=10.0
    ) as running:
        yield running


@pytest.fixture
def config_file(simulator: Simulator, tmp_path: Path) -> Any:
    """Writes a configuration that watches the simulator."""

    def write(**settings: Any) -> str:
        file = tmp_path / "tonwatch.yaml"
        content = simulator.config() | {"state_dir": str(tmp_path / "state")} | settings
        file.write_text(yaml.safe_dump(content))
        return str(file)

    return write


def rows(out: str, title: str) -> list[list[str]]:
    """The lines of a table, without its titles, cut into columns."""
    [table] = [part for part in out.split("\n\n") if part.startswith(title)]
    return [re.split(r"\s{2,}", line) for line in table.splitlines()[1:]]


async def test_all_is_well(config_file: Any, tmp_path: Path) -> None:
    code, out, _ = await finished("check", "--config", config_file())
    assert code == 0
    wallets = rows(out, "WALLET")
    assert [row[:3] for row in wallets] == [
        [name, asset, "active"] for name in ("hot", "warm") for asset in ("native", "usdt")
    ]
    units = {"native": "TON", "usdt": "usdt"}
    assert all(re.fullmatch(rf"[\d,]+(\.\d+)? {units[row[1]]}", row[3]) for row in wallets)
    assert {(row[1], *row[4:]) for row in wallets} == {
        ("native", "50 TON", "yes", "node-1"),
        ("usdt", "100 usdt", "yes", "node-1"),
    }
    assert rows(out, "CONTRACT") == [["vault", "active", "as expected", "yes", "node-1"]]
    assert out.splitlines()[-1].startswith("healthy: All 3 targets")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("name", "fault", "cause", "row"),
    [
        pytest.param(
            "warm",
            Fault.FROZEN,
            "wallet_frozen: Wallet warm is frozen",
            r"^warm +native +frozen",
            id="frozen",
        ),
        pytest.param(
            "vault",
            Fault.CHANGED_CODE,
            "contract_changed: Contract vault has unexpected code",
            r"^vault +active +changed +yes +node-1 +has [0-9a-f]{64}$",
            id="changed code",
        ),
        pytest.param(
            "node-2",
            Fault.ACCOUNTS_FAIL,
            "accounts_failing: node-2",
            r"^node-2 .* accounts_failing ",
            id="accounts that cannot be read",
        ),
        pytest.param(
            "node-2",
            Fault.REJECT_EXTERNALS,
            "write_path_broken: node-2",
            r"^node-2 .* write_broken .*configuration parameter 43 is invalid",
            id="messages lost",
        ),
        pytest.param(
            "node-1",
            Fault.FALSE_BALANCE,
            "proof_invalid: node-1",
            r"^hot +native +active .* yes +node-2$",
            id="a false balance with a proof",
        ),
        pytest.param(
            "provider-1",
            Fault.FALSE_BALANCE,
            "provider_disproved: provider-1",
            r"^provider-1 .* disproved ",
            id="a false balance that another contradicts",
        ),
    ],
)
async def test_a_problem(
    config_file: Any, simulator: Simulator, name: str, fault: Fault, cause: str, row: str
) -> None:
    await simulator.set_fault(name, fault)
    code, out, _ = await finished("check", "--config", config_file())
    assert code == 1
    assert cause in out
    assert re.search(row, out, re.MULTILINE)


async def test_a_low_wallet(config_file: Any, simulator: Simulator) -> None:
    wallets = simulator.config()["wallets"]
    wallets[0]["minimum"] = 10**9
    code, out, _ = await finished("check", "--config", config_file(wallets=wallets))
    assert code == 1
    assert "wallet_low: Wallet hot is low" in out
    assert rows(out, "WALLET")[0][-1] == "below the minimum"
    assert rows(out, "WALLET")[0][4] == "1,000,000,000 TON"


async def test_a_write_probe_that_can_never_run(config_file: Any, simulator: Simulator) -> None:
    address = simulator.config()["contracts"][0]["address"]
    wallets = [{"name": "vault", "address": address, "write_probe": True}]
    code, out, _ = await finished("check", "--config", config_file(wallets=wallets, contracts=[]))
    assert code == 1
    assert "write_probe_idle: The write path is not probed with wallet vault: its code is" in out


async def test_a_wallet_of_unknown_code(config_file: Any, simulator: Simulator) -> None:
    address = simulator.config()["contracts"][0]["address"]
    wallets = [{"name": "vault", "address": address}]
    code, out, _ = await finished("check", "--config", config_file(wallets=wallets, contracts=[]))
    assert code == 0
    assert rows(out, "WALLET")[0][-1] == (
        "unknown code: its seqno cannot be read, nor can it take a write probe"
    )


async def test_an_extra_currency(tmp_path: Path) -> None:
    async with Simulator(
        wallets=["hot"], currencies={100: 5_500_000_000}, block_interval=0.1, backfill=10.0
    ) as simulator:
        wallets = simulator.config()["wallets"]
        wallets[0]["extra_currencies"][0]["minimum"] = 6
        wallets[0]["extra_currencies"].append({"name": "other", "id": 239, "decimals": 2})
        file = tmp_path / "currencies.yaml"
        state = {"state_dir": str(tmp_path / "state")}
        file.write_text(yaml.safe_dump(simulator.config() | {"wallets": wallets} | state))
        code, out, _ = await finished("check", "--config", str(file))
    assert code == 1
    assert "wallet_low: Wallet hot is low" in out
    held = {row[1]: row[2:] for row in rows(out, "WALLET")}
    amounts = ["5.5 extra-100", "6 extra-100"]
    assert held["extra-100"] == ["active", *amounts, "yes", "node-1", "below the minimum"]
    said = "extra currency 239: payouts of it are not counted"
    assert held["other"] == ["active", "0 other", "-", "yes", "node-1", said]


async def test_the_coin_has_its_configured_name(config_file: Any) -> None:
    code, out, _ = await finished("check", "--config", config_file(coin="Gram"))
    assert code == 0
    native, jetton = rows(out, "WALLET")[:2]
    assert native[3].endswith(" Gram")
    assert native[4] == "50 Gram"
    assert jetton[4] == "100 usdt"


async def test_a_jetton_without_a_master_stops_nothing(
    config_file: Any, simulator: Simulator
) -> None:
    wallets = simulator.config()["wallets"]
    wallets[0]["jettons"][0]["master"] = simulator.config()["contracts"][0]["address"]
    code, out, _ = await finished("check", "--config", config_file(wallets=wallets))
    assert code == 1
    hot, warm = rows(out, "WALLET")[1], rows(out, "WALLET")[3]
    assert hot[:7] == ["hot", "usdt", "-", "-", "100 usdt", "-", "-"]
    assert "method_failed" in hot[7]
    assert "check `master`" in hot[7]
    assert warm[:3] == ["warm", "usdt", "active"]


async def test_more_wallets_than_are_read_at_once(config_file: Any, simulator: Simulator) -> None:
    jetton = simulator.config()["wallets"][0]["jettons"][0] | {"minimum": 0}
    wallets = [
        {"name": f"new-{n}", "address": str(Address(0, bytes([n] * 32))), "jettons": [jetton]}
        for n in range(40)
    ]
    code, out, _ = await finished("check", "--config", config_file(wallets=wallets))
    assert code == 0
    empty = [["missing", "0 TON"], ["missing", "0 usdt"]]
    assert [row[2:4] for row in rows(out, "WALLET")] == empty * 40


async def test_without_a_source_balances_are_unknown(
    config_file: Any, simulator: Simulator
) -> None:
    file = config_file()
    for target in simulator.servers:
        await target.close()
    code, out, _ = await finished("check", "--config", file)
    assert code == 1
    assert rows(out, "WALLET")[0] == ["hot", "native", "-", "-", "50 TON", "-", "-"]
    assert rows(out, "CONTRACT") == [["vault", "-", "-", "-", "-"]]
    assert "wallet_low" not in out


async def test_json_is_the_document(config_file: Any) -> None:
    code, out, _ = await finished("check", "--json", "--config", config_file())
    assert code == 0
    health = json.loads(out)
    assert [wallet["name"] for wallet in health["wallets"]] == ["hot", "warm"]
    assert all(asset["proven"] for wallet in health["wallets"] for asset in wallet["assets"])
    assert health["targets"][0]["probes"]["write"]["reason"] == "ok"
    assert health["targets"][2]["probes"]["compare"]["reason"] == "ok"


async def test_config_check_counts_them(config_file: Any) -> None:
    _, out, _ = await finished("config", "check", "--config", config_file())
    assert "wallets: 2, contracts: 1, network: " in out


async def test_a_state_dir_that_cannot_be_written_to(config_file: Any, tmp_path: Path) -> None:
    in_the_way = tmp_path / "a-file"
    in_the_way.touch()
    file = config_file(state_dir=str(in_the_way / "state"))
    code, _, err = await finished("run", "--config", file)
    assert code == 1
    [line] = err.splitlines()
    assert line.startswith(f"tonwatch run: cannot write to state_dir {in_the_way}/state: ")
    assert (await finished("check", "--config", file))[0] == 0
