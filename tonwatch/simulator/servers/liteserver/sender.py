"""How a simulated liteserver's bytes leave: at once, byte by byte, or far too many."""

import asyncio
import secrets
from typing import Final

GIANT: Final = 20 * 1024 * 1024
"""Bytes of a giant frame; the node itself sends at most 16 MiB."""

_CHUNK: Final = 64 * 1024
_MAX_DRIPPING: Final = 64 * 1024
"""Bytes that may wait to drip; a peer that asks for more is cut off."""


class Outbox:
    """The sending side of one connection. All that is sent keeps its order."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._dripping = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._flood = 0
        self._paused = False

    def send(self, data: bytes) -> None:
        self.hurry()
        self._transport.write(data)

    def drip(self, data: bytes, pause: float) -> None:
        """Send a byte each `pause` seconds, the first after one pause."""
        self._dripping += data
        if len(self._dripping) > _MAX_DRIPPING:
            self._transport.abort()
        elif self._timer is None:
            self._timer = self._loop.call_later(pause, self._drop, pause)

    def flood(self, frame: bytes) -> None:
        """Send `frame` as if it were `GIANT` bytes long, with noise for the rest.

        Its length is encrypted by a key stream: what is flipped in the cipher
        text is flipped in the plain text. Nothing can follow it.
        """
        self.hurry()
        flipped = (len(frame) - 4) ^ GIANT
        length = int.from_bytes(frame[:4], "little") ^ flipped
        self._transport.write(length.to_bytes(4, "little") + frame[4:])
        self._flood = GIANT + 4 - len(frame)
        self._pour()

    def hurry(self) -> None:
        """Send at once what drips."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dripping:
            self._transport.write(bytes(self._dripping))
            self._dripping.clear()

    def close(self) -> None:
        """Forget what was not sent."""
        self._dripping.clear()
        self._flood = 0
        self.hurry()

    # What the event loop calls, through the protocol.

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pour()

    def _drop(self, pause: float) -> None:
        self._timer = None
        self._transport.write(bytes(self._dripping[:1]))
        del self._dripping[:1]
        if self._dripping:
            self._timer = self._loop.call_later(pause, self._drop, pause)

    def _pour(self) -> None:
        while self._flood > 0 and not self._paused and not self._transport.is_closing():
            chunk = min(self._flood, _CHUNK)
            self._flood -= chunk
            self._transport.write(secrets.token_bytes(chunk))
