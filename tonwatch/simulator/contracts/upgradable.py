"""A contract that does nothing but change its code when it is told to."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Final

from tonwatch.simulator.chain import get_methods
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.execution import Outcome
from tonwatch.simulator.chain.get_methods import Answer
from tonwatch.simulator.chain.messages import Letter
from tonwatch.simulator.contracts.contract import Actor, Resident
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import Fault
from tonwatch.ton.cells import Cell, cell

_BALANCE: Final = 10 * 10**9
"""Nanocoins at the start."""


class Contract(Actor):
    """A contract that does nothing but change its code when it is told to.

    Attributes:
        code_hash: of the code that it should have.
    """

    kind: ClassVar = "contract"
    can: ClassVar = frozenset({Fault.CHANGED_CODE})

    def __init__(self, name: str, seed: str) -> None:
        Breakable.__init__(self, name)
        self._other = cell(b"other code of a simulated contract")
        data = cell(hashlib.sha256(f"{name} in {seed}".encode()).digest())
        code = cell(b"the code of a simulated contract")
        self.code_hash = code.hash
        Resident.__init__(self, code, data, _BALANCE)

    def react(self, account: SimAccount, _: Letter) -> Outcome:
        own = self.first.code
        changed = self.suffers(Fault.CHANGED_CODE) is not None
        code = self._other if changed else own
        return Outcome(gas=1_200, code=code if code is not account.code else None)

    def answer(self, _: SimAccount, __: int, ___: Sequence[int | Cell]) -> Answer:
        return Answer(get_methods.UNKNOWN_METHOD)
