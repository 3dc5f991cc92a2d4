"""A fork of the chain: the same network with other blocks from some seqno on."""

from collections.abc import Callable

from tonwatch.simulator.chain.chain import BlockHistory, Chain


class Fork:
    """The one fork of a chain; it exists while a server follows it.

    It starts at the block that is the chain's head when the first follower joins. From then on
    it has a block whenever the chain has one, with the same seqno and time and with another
    hash. All followers share it; when the last one leaves it ends. Where the chain is rewound it
    starts anew.

    Args:
        chain: the chain that is forked.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._branch: Branch | None = None
        self._followers = 0

    def join(self) -> BlockHistory:
        """Follow the fork until `leave`."""
        self._followers += 1
        if self._branch is None:
            self._branch = Branch(self._chain)
        return self._branch

    def leave(self) -> None:
        self._followers -= 1
        if self._branch is not None and not self._followers:
            self._branch.end()
            self._branch = None


class Branch(BlockHistory):
    """The blocks of a fork; new ones come until `end`."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(*chain.fork("fork"), chain.clock)
        self._chain = chain
        self.end: Callable[[], None] = chain.subscribe(self._follow)

    def _follow(self) -> None:
        if self._chain.head.seqno < self.head.seqno:
            self._builder, self._blocks = self._chain.fork("fork")
        while self.head.seqno < self._chain.head.seqno:
            original = self._chain.block(self.head.seqno + 1) or self._chain.oldest
            self._blocks.append(self._builder.build(original.produced, original))
        self._notify()
