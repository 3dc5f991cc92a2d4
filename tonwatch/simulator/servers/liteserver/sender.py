"""Sends the frames of a liteserver: at once, byte by byte, or far too long."""

import asyncio
import secrets
from typing import Final

GIANT: Final = 20 * 1024 * 1024
"""Bytes of a giant frame; the node itself sends at most 16 MiB."""

_CHUNK: Final = 64 * 1024
_MAX_SLOW_BYTES: Final = 64 * 1024
"""Bytes that may wait to be sent slowly; a client that asks for more is disconnected."""


class FrameSender:
    """The sending side of one connection; the order of bytes is kept."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._slow_bytes = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._flood_left = 0
        self._paused = False

    def send(self, data: bytes) -> None:
        self.flush()
        self._transport.write(data)

    def drip(self, data: bytes, pause: float) -> None:
        """Send a byte each `pause` seconds, the first after one pause."""
        self._slow_bytes += data
        if len(self._slow_bytes) > _MAX_SLOW_BYTES:
            self._transport.abort()
        elif self._timer is None:
            self._timer = self._loop.call_later(pause, self._send_byte, pause)

    def flood(self, frame: bytes) -> None:
        """Send `frame` as if it were `GIANT` bytes long, followed by random bytes.

        Its length is encrypted with a key stream: bits flipped in the cipher text are flipped in
        the plain text. Nothing can follow it.
        """
        self.flush()
        flipped = (len(frame) - 4) ^ GIANT
        length = int.from_bytes(frame[:4], "little") ^ flipped
        self._transport.write(length.to_bytes(4, "little") + frame[4:])
        self._flood_left = GIANT + 4 - len(frame)
        self._send_flood()

    def flush(self) -> None:
        """Send at once what is being sent slowly."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._slow_bytes:
            self._transport.write(bytes(self._slow_bytes))
            self._slow_bytes.clear()

    def close(self) -> None:
        """Drop what was not sent."""
        self._slow_bytes.clear()
        self._flood_left = 0
        self.flush()

    # Called by the asyncio.Protocol.

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._send_flood()

    def _send_byte(self, pause: float) -> None:
        self._timer = None
        self._transport.write(bytes(self._slow_bytes[:1]))
        del self._slow_bytes[:1]
        if self._slow_bytes:
            self._timer = self._loop.call_later(pause, self._send_byte, pause)

    def _send_flood(self) -> None:
        while self._flood_left > 0 and not self._paused and not self._transport.is_closing():
            chunk = min(self._flood_left, _CHUNK)
            self._flood_left -= chunk
            self._transport.write(secrets.token_bytes(chunk))
