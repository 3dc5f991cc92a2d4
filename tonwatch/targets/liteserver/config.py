"""How a liteserver is configured."""

import os
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from tonwatch.config import hosts
from tonwatch.config.hosts import Host
from tonwatch.config.target import Endpoint, ListName, TargetSection, Trait
from tonwatch.config.types import FilePath
from tonwatch.ton.adnl.keys import decode_key


def _server_key(value: str) -> str:
    decode_key(value)
    return value


ServerKey = Annotated[str, AfterValidator(_server_key)]
"""An ed25519 public key, 32 bytes in base64 or hex."""


class LiteServer(TargetSection):
    """A liteserver: its address and its public key."""

    listed: ClassVar[ListName] = "liteservers"
    tag: ClassVar[str] = ""

    host: Host
    port: Annotated[int, Field(ge=1, le=65535)]
    key: ServerKey | None = Field(None, description="public key, base64 or hex")
    key_file: FilePath | None = Field(
        None, description="the node's liteserver.pub, or a text file with the key; may come later"
    )

    @model_validator(mode="after")
    def _one_key(self) -> "LiteServer":
        if (self.key is None) == (self.key_file is None):
            raise ValueError("give exactly one of key and key_file")
        return self

    @property
    def endpoint(self) -> Endpoint:
        """Its host and port."""
        return Endpoint(self.host, self.port)

    @property
    def written(self) -> str:
        """Its host and port."""
        return f"{self.host} {self.port}"

    def traits(self) -> Iterator[Trait]:
        """Its address, and its key: no two servers have one key."""
        yield Trait("host and port", (hosts.canonical(self.host), self.port))
        if self.key is not None:
            yield Trait("key", decode_key(self.key))
        if self.key_file is not None:
            yield Trait("key_file", os.path.realpath(self.key_file))
