"""The connection that all HTTP providers share: session, rate limit and API key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from aiolimiter import AsyncLimiter

from tonwatch.config.secret_files import SecretFile, SecretFiles
from tonwatch.targets.http_provider import HttpProviderSection
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.kept import Kept
from tonwatch.ton.names import Resolve
from tonwatch.ton.parsing import Parsing


class Connection:
    """The connection to one provider: session, rate limit and API key.

    Args:
        section: its configuration.
        files: reads the API key.
        resolve: finds the addresses of its host.
        key_header: name of the header that carries the API key.
        key_prefix: prefix of the key in that header.
        parsing: parses answers that may be large.

    Attributes:
        http: sends requests, on kept connections where there are any.
        kept: when these are to be replaced.
    """

    def __init__(
        self,
        section: HttpProviderSection,
        files: SecretFiles,
        resolve: Resolve,
        *,
        key_header: str = "X-API-Key",
        key_prefix: str = "",
        parsing: Parsing | None = None,
    ) -> None:
        self._files = files
        self._key_file: SecretFile[str] | None = None
        api_key: Callable[[], str | None] = _no_key
        if section.api_key_file is not None:
            self._key_file = files.open(section.api_key_file, read_api_key)
            api_key = self._key_file.get
        self._resolve = resolve
        self._session = open_session(resolve)
        self._replaced: aiohttp.ClientSession | None = None
        self.kept = Kept(str(section.url))
        self._client = partial(
            HttpClient,
            str(section.url),
            # One request per period: no bursts.
            limiter=AsyncLimiter(1, section.pause),
            api_key=api_key,
            key_header=key_header,
            key_prefix=key_prefix,
            parsing=parsing,
        )
        self.http = self._client(self._session)
        self._loop = asyncio.get_running_loop()
        self.kept.opened(self._loop.time())

    async def saw(self, seqno: int | None) -> None:
        """Note its last block, or that it has reported none.

        The kept connections are replaced where they are old or stale.
        """
        now = self._loop.time()
        self.kept.saw(seqno, now)
        if not self.kept.is_due(now):
            return
        # Requests that are under way end on the old connections.
        await self._close_replaced()
        self._replaced, self._session = self._session, open_session(self._resolve)
        self.http.session = self._session
        self.kept.opened(now)

    @asynccontextmanager
    async def cold(self, patience: float) -> AsyncIterator[HttpClient]:
        """A client that makes a new connection for each request.

        Args:
            patience: seconds that an answer may take once its connection stands.
        """
        async with open_session(self._resolve, keep=False) as session:
            yield self._client(session, patience=patience)

    async def close(self) -> None:
        """Close all connections, and stop reading the API key."""
        await self._session.close()
        await self._close_replaced()
        if self._key_file is not None:
            self._files.close(self._key_file)

    async def _close_replaced(self) -> None:
        if self._replaced is not None:
            await self._replaced.close()
            self._replaced = None


def _no_key() -> None:
    return None


def read_api_key(content: bytes) -> str:
    """An API key: one line of printable ASCII, white space around it ignored.

    Raises:
        ValueError: empty, or anything else.
    """
    text = content.decode("ascii", errors="replace").strip()
    if not text or not all("!" <= char <= "~" for char in text):
        raise ValueError("not an API key: it must be one line of printable ASCII")
    return text
