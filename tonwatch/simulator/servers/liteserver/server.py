"""A liteserver over ADNL-TCP, with faults on command."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Self

from pytoniq_core.crypto.ciphers import Client

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.base import BASE_FAULTS, SimulatedServer
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import (
    NOT_READY,
    RATE_LIMITED,
    TIMEOUT,
    LiteError,
    NodeState,
)
from tonwatch.simulator.servers.liteserver.queries import Call
from tonwatch.simulator.servers.liteserver.sender import FrameSender
from tonwatch.ton import wire
from tonwatch.ton.errors import ProtocolError
from tonwatch.ton.wire import Message

_MAX_QUERY: Final = 64 * 1024
"""Bytes of a frame that a client may send; an external message fits."""


class LiteServer(SimulatedServer):
    """One liteserver of a chain.

    Args:
        legacy: without `getMasterchainInfoExt` mode 1, as nodes before May 2026.
        key: ed25519 private key, 32 bytes; None for a new one.

    The other arguments are those of `SimulatedServer`.

    Attributes:
        public_key: its ed25519 key, 32 bytes, as clients configure it.
    """

    kind: ClassVar = "liteserver"
    section: ClassVar = "liteservers"
    supported_faults: ClassVar = BASE_FAULTS | {
        Fault.HANG,
        Fault.NOT_SYNCED,
        Fault.SLOW,
        Fault.GARBAGE,
        Fault.WRONG_KEY,
        Fault.SHARD_LAG,
        Fault.CLOCK_SKEW,
        Fault.THROTTLE,
        Fault.DROP_MID_FRAME,
        Fault.LOSSY,
        Fault.SLOW_DRIP,
        Fault.GIANT_ANSWER,
        Fault.BAD_PROOF,
        Fault.FALSE_BALANCE,
        Fault.PRUNE_HISTORY,
        Fault.REJECT_EXTERNALS,
    }

    def __init__(
        self,
        name: str,
        chain: Chain,
        *,
        foreign: Chain | None = None,
        fork: Fork | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        noise: Noise = noises.NONE,
        legacy: bool = False,
        key: bytes | None = None,
    ) -> None:
        super().__init__(name, chain, foreign=foreign, fork=fork, host=host, port=port, noise=noise)
        self.legacy = legacy
        self.identity = Client(key or Client.generate_ed25519_private_key())
        self.public_key: bytes = self.identity.ed25519_public.encode()
        self.connections: set[Connection] = set()

    @classmethod
    def in_network(cls, seed: str, name: str, chain: Chain, **arguments: Any) -> Self:
        key = hashlib.sha256(f"key of {name} in {seed}".encode()).digest()
        return cls(name, chain, key=key, **arguments)

    def config(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "port": self.port,
            "key": base64.b64encode(self.public_key).decode(),
        }

    def node_state(self) -> NodeState:
        """The state for the next answer; called once for each."""
        return NodeState(
            self.answering_view(),
            self.now,
            self.legacy,
            bad_proofs=self.fault_value(Fault.BAD_PROOF) is not None,
            false_balances=self.fault_value(Fault.FALSE_BALANCE) is not None,
            history=self.fault_value(Fault.PRUNE_HISTORY),
            rejects_externals=self.fault_value(Fault.REJECT_EXTERNALS) is not None,
        )

    async def _listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self), self.host, port)

    def _fault_changed(self) -> None:
        for connection in list(self.connections):
            connection.fault_changed()

    async def _close_connections(self) -> None:
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed.wait()


class Connection(asyncio.Protocol):
    """One connection to a `LiteServer`."""

    def __init__(self, server: LiteServer) -> None:
        self.closed = asyncio.Event()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sender: FrameSender | None = None
        self._handshake = b""
        self._session: wire.Session | None = None
        self._ignores_input = False
        # Functions that cancel what is still to come on this connection.
        self._pending: set[Callable[[], None]] = set()

    def fault_changed(self) -> None:
        if self._sender is not None and not self._server.silent:
            self._sender.flush()
        wrong_key = self._server.fault_value(Fault.WRONG_KEY) is not None
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
        self._server.connections.add(self)

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
        self._server.connections.discard(self)
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
        if self._server.fault_value(Fault.WRONG_KEY) is not None:
            raise ProtocolError("handshake for another key")
        self._session = wire.accept_session(packet, self._server.identity, _MAX_QUERY)
        if self._sender is not None:
            self._sender.send(self._session.seal(b""))
        return rest

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
        if self._server.fault_value(Fault.THROTTLE) is not None:
            self._answer(message, LiteError(RATE_LIMITED, "too many requests").encode())
            return
        try:
            call = queries.parse(message.body)
        except LiteError as error:
            self._answer(message, error.encode())
            return
        missing = call.seqno - self._server.view().shard_client.seqno
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

    def _answer_call(self, message: Message, call: Call) -> None:
        self._answer(message, queries.answer(self._server.node_state(), call))

    def _answer(self, message: Message, body: bytes) -> None:
        if self._server.fault_value(Fault.NOT_SYNCED) is None:
            self._send(Message(wire.ANSWER, message.id, body))

    def _send(self, message: Message) -> None:
        session, sender, server = self._session, self._sender, self._server
        if session is None or sender is None or self._ignores_input or server.silent:
            return
        frame = session.seal(message.encode())
        pause = server.fault_value(Fault.SLOW_DRIP)
        if pause is not None:
            sender.drip(frame, pause)
        elif server.fault_value(Fault.GARBAGE) is not None:
            # The length stays right: the client reads a whole frame and checks it.
            sender.send(frame[:4] + secrets.token_bytes(len(frame) - 4))
        elif server.fault_value(Fault.DROP_MID_FRAME) is not None:
            sender.send(frame[: len(frame) // 2])
            self._close()
        elif server.fault_value(Fault.GIANT_ANSWER) is not None:
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
            if self._server.view().shard_client.seqno >= call.seqno:
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
