"""What came of asking a target once more with a client that is not tonwatch's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Whether two clients see the same of one target.

    Attributes:
        agrees: whether they do; None where the other client could not be asked.
        detail: what they see, in one line.
    """

    agrees: bool | None
    detail: str
