"""The configuration that all HTTP providers share."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import unquote

from pydantic import AfterValidator, Field, HttpUrl, model_validator

from tonwatch.config import hosts
from tonwatch.config.operators import registered_domain
from tonwatch.config.target import Endpoint, ListName, TargetSection, Trait
from tonwatch.config.types import FilePath


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

    @model_validator(mode="after")
    def _look_up_domain(self) -> "HttpProviderSection":
        # Now: later, in an event loop, it would block.
        registered_domain(self.url.host or "")
        return self

    @property
    def operated_by(self) -> str:
        """As configured; or its registered domain, or its host and port where it has none."""
        host = self.url.host or ""
        return self.operator or registered_domain(host) or f"{host}:{self.url.port}"

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
