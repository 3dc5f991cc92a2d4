"""docs/rehearsals.md lists all faults, and what has them."""

from pathlib import Path
from typing import Final

from tonwatch.simulator.contracts.upgradable import UpgradableContract
from tonwatch.simulator.contracts.wallets.wallet import Wallet
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.breakable_chain import BreakableChain
from tonwatch.simulator.faults.fault import Fault, describe
from tonwatch.simulator.servers.registry import SERVERS

PAGE: Final = Path(__file__).parents[2] / "docs" / "rehearsals.md"

KINDS: Final[list[type[Breakable]]] = [
    *SERVERS.values(),
    Wallet,
    UpgradableContract,
    BreakableChain,
]


def table() -> str:
    rows = ["| Fault | Of | What happens |", "| --- | --- | --- |"]
    for fault in Fault:
        kinds = ", ".join(kind.kind for kind in KINDS if fault in kind.supported_faults)
        rows.append(f"| `{fault}` | {kinds} | {describe(fault)} |")
    return "\n".join(rows)


def test_all_faults_are_listed() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), f"the table should be:\n{table()}"
