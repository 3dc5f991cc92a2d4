"""The connection that all HTTP providers share: session, rate limit and API key."""

from collections.abc import Callable

from aiolimiter import AsyncLimiter

from tonwatch.config.secret_files import SecretFile, SecretFiles
from tonwatch.targets.http_provider import HttpProviderSection
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.names import Resolve


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
