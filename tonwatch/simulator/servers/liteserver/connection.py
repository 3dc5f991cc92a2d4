"""One ADNL connection to a simulated liteserver: its handshake, frames and delayed answers."""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import (
    RATE_LIMITED,
    LiteError,
)
from tonwatch.simulator.servers.liteserver.queries import Call
from tonwatch.simulator.servers.liteserver.sender import FrameSender
from tonwatch.simulator.servers.node_errors import NOT_READY, TIMEOUT
from tonwatch.simulator.servers.view import View
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.errors import ProtocolError

if TYPE_CHECKING:
    from tonwatch.simulator.servers.liteserver.server import LiteServer

_MAX_QUERY: Final = 64 * 1024
"""Bytes of a frame that a client may send; an external message fits."""


class Connection(asyncio.Protocol):
    """One connection to a liteserver.

    Args:
        server: whose faults it has.
        connections: all that are open; this one is among them while it is.
    """

    def __init__(
        self,
        server: "LiteServer",
        connections: set["Connection"],
    ) -> None:
        self.closed = asyncio.Event()
        self._server = server
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sender: FrameSender | None = None
        self._handshake = b""
        self._session: wire.Session | None = None
        self._ignores_input = False
        # Functions that cancel what is still to come on this connection.
        self._pending: set[Callable[[], None]] = set()

    def faults_changed(self) -> None:
        if self._sender is not None and not self._server.silent:
            self._sender.flush()
        wrong_key = self._server.has_fault(Fault.WRONG_KEY)
        if self._ignores_input or wrong_key or self._server.refusing:
            # Unread bytes are lost, and the key stream is out of step without them.
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sender = FrameSender(transport)
        self._connections.add(self)

    def pause_writing(self) -> None:
        if self._sender is not None:
            self._sender.pause()

    def resume_writing(self) -> None:
        if self._sender is not None:
            self._sender.resume()

    def data_received(self, data: bytes) -> None:
        if self._server.silent:
            self._ignores_input = True
        if self._ignores_input:
            return
        try:
            if self._session is None:
                data = self._read_handshake(data)
            if self._session is not None:
                for payload in self._session.feed(data):
                    self._receive(payload)
        except ProtocolError:
            # As the node does, without an answer.
            self._close()

    def connection_lost(self, _: Exception | None) -> None:
        for cancel in list(self._pending):
            cancel()
        if self._sender is not None:
            self._sender.close()
        self._connections.discard(self)
        self.closed.set()

    # Frames and queries.

    def _read_handshake(self, data: bytes) -> bytes:
        """Read bytes of the handshake; returns those after it."""
        self._handshake += data
        if len(self._handshake) < wire.HANDSHAKE_SIZE:
            return b""
        packet = self._handshake[: wire.HANDSHAKE_SIZE]
        rest = self._handshake[wire.HANDSHAKE_SIZE :]
        self._handshake = b""
        if self._server.has_fault(Fault.WRONG_KEY):
            raise ProtocolError("handshake for another key")
        self._session = wire.accept_session(packet, self._server.identity, _MAX_QUERY)
        delay = self._server.fault_value(Fault.SLOW_CONNECT)
        if delay:
            self._later(delay, self._answer_handshake)
        else:
            self._answer_handshake()
        return rest

    def _answer_handshake(self) -> None:
        # Where it is not sent the connection is of no use afterwards.
        self._ignores_input = self._server.silent
        if self._session is not None and self._sender is not None and not self._server.silent:
            self._sender.send(self._session.seal(b""))

    def _receive(self, payload: bytes) -> None:
        message = wire.parse_message(payload)
        if message is None:
            return
        delay = self._server.delay()
        if delay:
            self._later(delay, partial(self._handle, message))
        else:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if message.constructor == wire.PING:
            self._send(Message(wire.PONG, message.id))
        elif message.constructor == wire.QUERY and message.body:
            self._handle_query(message)

    def _handle_query(self, message: Message) -> None:
        if self._server.loses_answer():
            return
        if self._server.has_fault(Fault.THROTTLE):
            self._answer(message, LiteError(RATE_LIMITED, "too many requests").encode())
            return
        try:
            call = queries.parse(message.body)
        except LiteError as error:
            self._answer(message, error.encode())
            return
        missing = call.seqno - self._view().shard_client.seqno
        delay = self._server.fault_value(Fault.SLOW)
        if missing > queries.MAX_WAIT_AHEAD:
            too_far = LiteError(NOT_READY, "too big masterchain block seqno")
            self._answer(message, too_far.encode())
        elif missing > 0:
            self._wait(message, call)
        elif delay:
            self._later(delay, partial(self._answer_call, message, call))
        else:
            self._answer_call(message, call)

    def _view(self) -> View:
        return self._server.view(kept=self._server.is_kept(self))

    def _answer_call(self, message: Message, call: Call) -> None:
        self._answer(
            message, queries.answer(self._server.node_state(kept=self._server.is_kept(self)), call)
        )

    def _answer(self, message: Message, body: bytes) -> None:
        if not self._server.has_fault(Fault.NOT_SYNCED):
            self._send(Message(wire.ANSWER, message.id, body))

    def _send(self, message: Message) -> None:
        session, sender, server = self._session, self._sender, self._server
        if session is None or sender is None or self._ignores_input or server.silent:
            return
        frame = session.seal(message.encode())
        pause = server.fault_value(Fault.SLOW_DRIP)
        if pause is not None:
            sender.drip(frame, pause)
        elif server.has_fault(Fault.GARBAGE):
            # The length stays right: the client reads a whole frame and checks it.
            sender.send(frame[:4] + secrets.token_bytes(len(frame) - 4))
        elif server.has_fault(Fault.DROP_MID_FRAME):
            sender.send(frame[: len(frame) // 2])
            self._close()
        elif server.has_fault(Fault.GIANT_ANSWER):
            sender.flood(frame)
            self._ignores_input = True
        else:
            sender.send(frame)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # Delayed answers.

    def _later(self, delay: float, action: Callable[[], None]) -> Callable[[], None]:
        """Run `action` after `delay` seconds; returns a function that cancels that."""

        def run() -> None:
            self._pending.discard(cancel)
            action()

        def cancel() -> None:
            self._pending.discard(cancel)
            timer.cancel()

        timer = self._loop.call_later(delay, run)
        self._pending.add(cancel)
        return cancel

    def _wait(self, message: Message, call: Call) -> None:
        """Answer `call` when the shard client has its block, or with a timeout."""

        def block_made() -> None:
            if self._view().shard_client.seqno >= call.seqno:
                stop()
                cancel_timeout()
                self._answer_call(message, call)

        def timed_out() -> None:
            stop()
            self._answer(message, LiteError(TIMEOUT, "timeout").encode())

        def stop() -> None:
            self._pending.discard(stop)
            unsubscribe()

        unsubscribe = self._server.chain.subscribe(block_made)
        self._pending.add(stop)
        cancel_timeout = self._later(call.timeout, timed_out)
