"""Measures work in function calls: the same on every machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import FrameType
from typing import Any


@contextmanager
def effort(most: int) -> Iterator[None]:
    """Fail where the block calls more than `most` functions, Python's and C's, in this thread."""
    calls = count()

    def on_event(_frame: FrameType, event: str, _what: Any) -> None:
        if event in {"call", "c_call"}:
            next(calls)

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(before)
    made = next(calls)
    assert made <= most, f"{made:,} calls, and {most:,} are the most"
