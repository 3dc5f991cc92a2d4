"""A fork of the chain: the same network and past, another present."""

from collections.abc import Callable

from tonwatch.simulator.chain.chain import Chain, Ledger


class Fork:
    """The one fork of a chain; it exists while somebody follows it.

    It starts at the block that is the chain's head when the first follower
    joins. From then on it has a block whenever the chain has one, with the same
    seqno and time and with another hash. Whoever joins later comes to the same
    fork; when the last one leaves it is forgotten.

    Args:
        chain: the chain that is forked.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._branch: Branch | None = None
        self._followers = 0

    def join(self) -> Ledger:
        """Follow the fork; whoever joins leaves some time."""
        self._followers += 1
        if self._branch is None:
            self._branch = Branch(self._chain)
        return self._branch

    def leave(self) -> None:
        self._followers -= 1
        if self._branch is not None and not self._followers:
            self._branch.end()
            self._branch = None


class Branch(Ledger):
    """A chain's blocks up to now, and others from now on, until `end`."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(*chain.fork("fork"), chain.clock)
        self._chain = chain
        self.end: Callable[[], None] = chain.subscribe(self._follow)

    def _follow(self) -> None:
        while self.head.seqno < self._chain.head.seqno:
            twin = self._chain.block(self.head.seqno + 1) or self._chain.oldest
            self._blocks.append(self._builder.build(twin.produced, twin))
        self._tell()
