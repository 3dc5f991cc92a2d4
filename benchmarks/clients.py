"""The compared clients, and a raw socket."""

import base64
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from pytoniq.liteclient.client import LiteClient as PytoniqClient

from benchmarks.server import HOST, SERVER_KEY
from tonwatch.probes.source import Reader
from tonwatch.ton.address import Address
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.contracts.accounts import AccountAt, parse_account
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.liteserver.link import Link

TIMEOUT: Final = 10
AT_ONCE: Final = 16
"""Concurrent accounts, as on tonwatch's connection to a liteserver."""

_QUERY: Final = tl.encode_query("getMasterchainInfoExt", {"mode": 0})


async def tonwatch(port: int) -> LiteClient:
    return LiteClient(await AdnlConnection.open(HOST, port, SERVER_KEY, timeout=TIMEOUT))


async def pytoniq(port: int, trust_level: int = 1) -> PytoniqClient:
    key = base64.b64encode(SERVER_KEY).decode()
    client = PytoniqClient(HOST, port, key, timeout=TIMEOUT, trust_level=trust_level)
    await client.connect()
    return client


class Unproven:
    """tonwatch's source over a liteserver, without verification of proofs."""

    proves = False
    transactions: Any = None
    send_message: Any = None

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self._link = link

    async def reader(self, seqno: int | None = None) -> Reader:
        assert seqno is None, "read at the newest block"
        client = await self._link.client(TIMEOUT)
        block = (await client.masterchain_info(TIMEOUT)).last.to_dict()
        return _UnprovenReader(partial(client.connection.query, timeout=TIMEOUT), block)


class _UnprovenReader:
    at_once = AT_ONCE
    run_method: Any = None

    def __init__(self, query: Callable[[bytes], Awaitable[Any]], block: dict[str, Any]) -> None:
        self._query = query
        self._block = block

    async def account(self, address: Address) -> AccountAt:
        account_id = {"workchain": address.workchain, "id": address.hash.hex()}
        arguments = {"id": self._block, "account": account_id}
        reply = await self._query(tl.encode_query("getAccountState", arguments))
        fields = tl.decode(reply.body, "liteServer.accountState")
        account = parse_account(read_one(fields["state"]), address, None)
        return AccountAt(account=account, seqno=self._block["seqno"], time=None, proven=False)


class RawSocket:
    """A blocking socket: the minimum of kernel and server."""

    def __init__(self, port: int) -> None:
        packet, self._session = wire.open_session(SERVER_KEY)
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(packet)
        while not list(self._session.feed(self._socket.recv(65536))):
            pass

    def ask(self) -> float:
        """One query; seconds from sending it to its answer's arrival."""
        frame = self._session.seal(wire.Message(wire.QUERY, bytes(32), _QUERY).encode())
        began = time.perf_counter()
        self._socket.sendall(frame)
        data = self._socket.recv(65536)
        elapsed = time.perf_counter() - began
        if len(list(self._session.feed(data))) != 1:
            raise RuntimeError("an answer came in parts")
        return elapsed

    def flood(self, queries: int, batch: int) -> float:
        """Pre-encoded queries, `batch` at a time; seconds until all are answered."""
        payload = wire.Message(wire.QUERY, bytes(32), _QUERY).encode()
        batches = [self._session.seal(*[payload] * batch) for _ in range(queries // batch)]
        self._socket.sendall(batches[0])
        size = len(self._socket.recv(1 << 20))
        while not size or self._socket_has_more():
            size += len(self._socket.recv(1 << 20))
        began = time.perf_counter()
        for sealed in batches[1:]:
            self._socket.sendall(sealed)
            left = size
            while left:
                left -= len(self._socket.recv(left))
        return time.perf_counter() - began

    def _socket_has_more(self) -> bool:
        self._socket.settimeout(0.05)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(None)

    def close(self) -> None:
        self._socket.close()
