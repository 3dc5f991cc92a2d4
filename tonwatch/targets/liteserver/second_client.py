"""Asks a liteserver with pytoniq's `LiteClient`, whose ADNL and proof checks are not tonwatch's.

pytoniq keeps background tasks (a listener, a pinger, a block updater), blocks while it is imported
and built, and logs on its own. So each client has a thread and an event loop of its own, which end
all of that with them. It is imported here and only when asked: the daemon never needs it.
"""

import asyncio
import base64
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tonwatch.samples.sample import Head
from tonwatch.ton.errors import ConnectError, one_line
from tonwatch.ton.names import Resolve

if TYPE_CHECKING:
    from pytoniq.liteclient.client import LiteClient

_TRUST_LEVEL: Final = 1
"""How much pytoniq takes on trust: the last block, and nothing that is proven against it.

That is what tonwatch's own probe does. Level 0 would follow the validators' signatures from a key
block that somebody has to give us, over hundreds of blocks; level 2 checks no proof of a block.
"""

_MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes of an answer. pytoniq has no limit of its own and would keep up to 4 GiB in memory."""

_ENDING: Final = 1.0
"""Seconds that a client that was told to end may take for it."""

_OVERHEAD: Final = 10.0
"""Seconds beyond the timeout for importing and building pytoniq's client and for its end."""


class NotAsked(Exception):
    """The server's key or address is not known: there is nothing that pytoniq could ask."""


class SecondClientFailed(Exception):
    """pytoniq did not get an answer that it accepts; the text says why, in one line."""


async def head(
    host: str,
    port: int,
    server_key: Callable[[], bytes],
    resolve: Resolve,
    *,
    timeout: float,
    threads: Executor,
) -> Head:
    """The last masterchain block by pytoniq: its seqno and root hash.

    Args:
        host: name or address.
        port: TCP port.
        server_key: as of `Link`.
        resolve: finds the addresses of `host`; pytoniq is only given addresses.
        timeout: seconds for resolving, and then for connecting and all queries.
        threads: where pytoniq runs.

    Raises:
        NotAsked: there is no key or no address.
        SecondClientFailed: pytoniq failed.
    """
    try:
        key = server_key()
        async with asyncio.timeout(timeout):
            found = await resolve(host, port)
    except ConnectError as error:
        raise NotAsked(error.detail) from error
    except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
        raise NotAsked("the host's name cannot be resolved") from error
    addresses = list(dict.fromkeys(address[0] for *_, address in found))
    call = asyncio.get_running_loop().run_in_executor(threads, _ask, addresses, port, key, timeout)
    limit = timeout + _OVERHEAD
    try:
        async with asyncio.timeout(limit):
            return await call
    except TimeoutError as error:
        raise SecondClientFailed(f"it did not end within {limit:.3g} s") from error


def _ask(addresses: Sequence[str], port: int, key: bytes, timeout: float) -> Head:
    """Ask at the first address that can be connected to. Blocks; needs a thread without a loop."""
    logged = _Logged()
    clients = [_client(address, port, key, timeout, logged) for address in addresses]
    return asyncio.run(_ask_first(clients, timeout, logged))


async def _ask_first(clients: "Sequence[LiteClient]", timeout: float, logged: "_Logged") -> Head:
    loop = asyncio.get_running_loop()
    # asyncio reports what pytoniq's tasks ended with where nobody awaits them. What matters
    # of it is in `logged`.
    loop.set_exception_handler(lambda *_: None)
    deadline = loop.time() + timeout
    failure: Exception = OSError("no address")
    for index, client in enumerate(clients):
        share = (deadline - loop.time()) / (len(clients) - index)
        try:
            return await _ask_one(client, max(0.01, share))
        except TimeoutError:
            failure = SecondClientFailed(f"no answer within {timeout:.3g} s")
        except OSError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - pytoniq raises whatever its parsers do
            failure = error
            break
    raise SecondClientFailed(_why(failure, logged)) from failure


async def _ask_one(client: "LiteClient", timeout: float) -> Head:
    """Connect, which asks for the last block and proves its shards; close in any case."""
    connecting = asyncio.create_task(client.connect())
    try:
        # Not `asyncio.timeout`: before Python 3.12 `wait_for`, which pytoniq awaits, may lose
        # a cancellation.
        await asyncio.wait({connecting}, timeout=timeout)
        if not connecting.done():
            raise TimeoutError
        connecting.result()
        block = client.last_mc_block
        return Head(seqno=block.seqno, root_hash=block.root_hash)
    finally:
        connecting.cancel()
        await asyncio.wait({connecting}, timeout=_ENDING)
        writer = client.writer
        await client.close()
        if writer is not None:
            writer.transport.abort()
            await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn


def _why(error: Exception, logged: "_Logged") -> str:
    """What pytoniq failed with, in one line."""
    from pytoniq.liteclient.client import LiteClientError, LiteServerError

    if isinstance(error, LiteServerError):
        return one_line(f"liteserver error {error.code}: {error.message}")
    if isinstance(error, SecondClientFailed):
        return str(error)
    if isinstance(error, LiteClientError) and logged.error is not None:
        error = logged.error  # why its listener closed the connection
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)  # the texts of asyncio's errors name the address
    if isinstance(error, LiteClientError):
        return one_line(str(error))
    return one_line(f"{type(error).__name__}: {error}")


def _client(address: str, port: int, key: bytes, timeout: float, logged: "_Logged") -> "LiteClient":
    client: LiteClient = _client_class()(
        address, port, base64.b64encode(key).decode(), timeout=timeout, trust_level=_TRUST_LEVEL
    )
    # A logger outside the tree: nothing of it gets to our log.
    client.logger = logging.Logger("pytoniq", logging.ERROR)  # noqa: LOG001 - on purpose
    client.logger.addHandler(logged)
    return client


@cache
def _client_class() -> Any:
    """pytoniq's client with a limit on what it reads. Imports pytoniq."""
    from pytoniq.liteclient.client import LiteClient

    class Limited(LiteClient):
        async def receive(self, data_len: int) -> bytes:
            if data_len > _MAX_FRAME:
                raise ValueError(f"an answer of {data_len} bytes")
            received: bytes = await super().receive(data_len)
            return received

    return Limited


class _Logged(logging.Handler):
    """Keeps the last exception that pytoniq logged: whoever waits is only told of the close."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            self.error = record.exc_info[1]
