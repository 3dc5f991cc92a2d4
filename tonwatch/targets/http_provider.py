"""Shared by all HTTP providers: configuration and connection."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar
from urllib.parse import unquote

from aiolimiter import AsyncLimiter
from pydantic import AfterValidator, Field, HttpUrl

from tonwatch.config import hosts
from tonwatch.config.secret_files import SecretFile, SecretFiles
from tonwatch.config.target import Endpoint, ListName, TargetSection, Trait
from tonwatch.config.types import FilePath
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.names import Resolve


def _base_url(value: HttpUrl) -> HttpUrl:
    if value.username or value.password or value.query or value.fragment:
        raise ValueError(
            "keep the URL free of user, password, query and fragment;"
            " an API key belongs in the file that api_key_file names"
        )
    return value


BaseUrl = Annotated[HttpUrl, AfterValidator(_base_url)]
"""Without the method. No part of it is secret."""


class HttpProviderSection(TargetSection):
    """An RPC provider over HTTP. Each kind adds its `kind`."""

    listed: ClassVar[ListName] = "providers"

    url: BaseUrl = Field(
        description="up to and without the method, such as https://toncenter.com/api/v2"
    )
    api_key_file: FilePath | None = None
    requests_per_second: Annotated[float, Field(gt=0, le=1000)] = 1.0

    @property
    def endpoint(self) -> Endpoint:
        """The URL's host and port."""
        return Endpoint(self.url.host or "", self.url.port)

    @property
    def written(self) -> str:
        """The URL."""
        return str(self.url)

    def traits(self) -> Iterator[Trait]:
        """Its URL."""
        # http and https on their default ports are the same server.
        port = None if self.url.port in {80, 443} else self.url.port
        path = re.sub("/+", "/", unquote(self.url.path or "")).removesuffix("/")
        yield Trait("URL", (hosts.canonical(self.url.host or ""), port, path))

    @property
    def pause(self) -> float:
        """Seconds between two requests."""
        return 1 / self.requests_per_second


class Connection:
    """The connection to one provider: session, rate limit and API key.

    Args:
        section: its configuration.
        files: reads the API key.
        resolve: finds the addresses of its host.
        key_header: name of the header that carries the API key.
        key_prefix: prefix of the key in that header.
    """

    def __init__(
        self,
        section: HttpProviderSection,
        files: SecretFiles,
        resolve: Resolve,
        *,
        key_header: str = "X-API-Key",
        key_prefix: str = "",
    ) -> None:
        self._files = files
        self._key_file: SecretFile[str] | None = None
        api_key: Callable[[], str | None] = _no_key
        if section.api_key_file is not None:
            self._key_file = files.open(section.api_key_file, read_api_key)
            api_key = self._key_file.get
        self._session = open_session(resolve)
        self.http = HttpClient(
            str(section.url),
            self._session,
            # One request per period: no bursts.
            AsyncLimiter(1, section.pause),
            api_key,
            key_header=key_header,
            key_prefix=key_prefix,
        )

    async def close(self) -> None:
        """Close the session, and stop reading the API key."""
        await self._session.close()
        if self._key_file is not None:
            self._files.close(self._key_file)


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
