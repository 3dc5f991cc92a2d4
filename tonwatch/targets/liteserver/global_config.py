"""TON's own ``global.config.json``: the liteservers that it lists."""

import base64
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from tonwatch.config.hosts import Host
from tonwatch.config.strict import Place, dotted, read_json
from tonwatch.config.target import Entry, ListName, Role, Trait
from tonwatch.config.types import MAX_NAME, FilePath, Name
from tonwatch.system import regular_file
from tonwatch.targets.liteserver.config import LiteServer, ServerKey

_MAX_SIZE: Final = 16 << 20
"""Bytes; those of the public networks have some thousands."""


class _ZeroState(BaseModel):
    root_hash: str


class _Validator(BaseModel):
    zero_state: _ZeroState


class _File(BaseModel):
    liteservers: tuple[dict[str, Any], ...]
    validator: _Validator


class _Key(BaseModel):
    key: ServerKey


class _Listed(BaseModel):
    """An entry; `ip` is an IPv4 address as a number, with or without a sign."""

    id: _Key
    port: Annotated[int, Field(ge=1, le=65535)]
    hostname: Host | None = None
    ip: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None

    @model_validator(mode="after")
    def _has_address(self) -> "_Listed":
        if self.hostname is None and self.ip is None:
            raise ValueError("neither ip nor hostname")
        return self

    @property
    def host(self) -> str:
        return self.hostname or str(ipaddress.IPv4Address((self.ip or 0) % 2**32))


class GlobalConfig(Entry):
    """TON's own global.config.json as a source of liteservers, named `name`-1, `name`-2..."""

    listed: ClassVar[ListName] = "liteservers"
    tag: ClassVar[str] = "global_config"

    global_config: FilePath
    name: Name = "public"
    count: Annotated[int, Field(ge=1, le=100)] = 3
    role: Role = "reference"

    @model_validator(mode="after")
    def _names_fit(self) -> "GlobalConfig":
        if len(self.names()[-1]) > MAX_NAME:
            raise ValueError(
                f"name is too long: with -{self.count} at its end it may have {MAX_NAME} characters"
            )
        return self

    def names(self) -> list[str]:
        """One for each liteserver."""
        return [f"{self.name}-{number}" for number in range(1, self.count + 1)]

    def file(self) -> Path:
        """The global.config.json."""
        return self.global_config

    def targets(self, zerostate: bytes) -> Sequence[LiteServer]:
        """The first `count` liteservers of the file; of one that it lists twice, the first entry.

        Args:
            zerostate: root hash of the network that the file must be of.

        Raises:
            ValueError: it cannot be read, is not such a file, or is too short; the text names it.
        """
        path = self.global_config
        try:
            text = regular_file.read(path, _MAX_SIZE).decode()
        except OSError as error:
            raise ValueError(f"{path}: cannot read it: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not UTF-8 text") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        content = read_json(text, str(path))
        try:
            return self._first(content, zerostate)
        except ValueError as error:
            raise ValueError(
                f"{path}: {error}; it must be the network's own global.config.json"
            ) from None

    def _first(self, content: Any, zerostate: bytes) -> list[LiteServer]:
        file = _validated(_File, content, ())
        network = base64.b64decode(file.validator.zero_state.root_hash)
        if network != zerostate:
            raise ValueError(f"is of the network with zerostate {network.hex()}, not of `network`")
        servers: list[LiteServer] = []
        known: set[Trait] = set()
        for index, written in enumerate(file.liteservers):
            entry = _validated(_Listed, written, ("liteservers", index))
            server = LiteServer(
                name=f"{self.name}-{len(servers) + 1}",
                host=entry.host,
                port=entry.port,
                key=entry.id.key,
                role=self.role,
                operator=self.operator,
            )
            if known.isdisjoint(server.traits()):
                servers.append(server)
            known.update(server.traits())
            if len(servers) == self.count:
                return servers
        entries = len(file.liteservers)
        twice = f" in {entries} entries" if len(servers) < entries else ""
        raise ValueError(f"has {len(servers)} liteservers{twice}, fewer than count: {self.count}")


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], content: Any, place: Place) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = dotted((*place, *detail["loc"]))
        message = detail["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {message}" if where else message) from None
