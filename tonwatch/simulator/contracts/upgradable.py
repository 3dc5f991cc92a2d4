"""A contract that changes its code under `Fault.CHANGED_CODE`, and does nothing else."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Final

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.execution import Outcome
from tonwatch.simulator.chain.get_methods import GetMethodResult
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.contracts.contract import BreakableContract, Contract
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.cells.cell import Cell, cell

_BALANCE: Final = 10 * 10**9
"""Nanocoins at the start."""


class UpgradableContract(BreakableContract):
    """A contract whose code can change.

    Attributes:
        code_hash: of the code that it should have.
    """

    kind: ClassVar = "contract"
    supported_faults: ClassVar = frozenset({Fault.CHANGED_CODE})

    def __init__(self, name: str, seed: str) -> None:
        Breakable.__init__(self, name)
        self._other_code = cell(b"other code of a simulated contract")
        data = cell(hashlib.sha256(f"{name} in {seed}".encode()).digest())
        code = cell(b"the code of a simulated contract")
        self.code_hash = code.hash
        Contract.__init__(self, code, data, _BALANCE)

    def faults_of(self, account: SimAccount) -> frozenset[Fault]:
        changed = account.code is not self.initial.code
        return frozenset({Fault.CHANGED_CODE}) if changed else frozenset()

    def receive_internal(self, account: SimAccount, _: SimMessage) -> Outcome:
        changed = self.has_fault(Fault.CHANGED_CODE)
        code = self._other_code if changed else self.initial.code
        return Outcome(gas=1_200, code=code if code is not account.code else None)

    def run_get_method(self, _: SimAccount, __: int, ___: Sequence[int | Cell]) -> GetMethodResult:
        return GetMethodResult(get_methods.UNKNOWN_METHOD)
