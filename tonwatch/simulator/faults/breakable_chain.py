"""The simulated network as a target of faults: they concern all servers that follow it."""

from typing import ClassVar

from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.faults.breakable import Breakable, distinct
from tonwatch.simulator.faults.fault import ActiveFault, Fault


class BreakableChain(Breakable):
    """The chain of a network.

    Args:
        chain: that has the faults.
    """

    kind: ClassVar = "chain"
    supported_faults: ClassVar = frozenset({Fault.STALL, Fault.SLOW_BLOCKS, Fault.REWIND})

    def __init__(self, chain: Chain) -> None:
        super().__init__(self.kind)
        self._chain = chain

    async def set_faults(self, *faults: ActiveFault) -> None:
        """As `Breakable.set_faults`; a rewind happens once, when it is set and was not before."""
        before, self.faults = self.faults, distinct(faults)
        self._chain.stalled = self.has_fault(Fault.STALL)
        self._chain.slow_down(self.fault_value(Fault.SLOW_BLOCKS))
        rewind = self.fault_value(Fault.REWIND)
        if rewind is not None and not any(each.fault is Fault.REWIND for each in before):
            self._chain.rewind(int(rewind))
