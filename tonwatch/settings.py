"""Loads the configuration: YAML file, then environment, then flags, each over the last.

Every mistake is a `ConfigError` that says where it is and what to do about it.
"""

import base64
import difflib
import json
import os
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tonwatch.config import Config, GlobalConfig, LiteServer

ENV_PREFIX: Final = "TONWATCH_"
ENV_CONFIG: Final = "TONWATCH_CONFIG"

_SERVICE_LINKS: Final = re.compile(r"TONWATCH_(SERVICE_(HOST|PORT.*)|PORT(_\d+_.*)?)")
"""What Kubernetes injects for a Service named tonwatch; not meant for us."""

Location = tuple[str | int, ...]


class ConfigError(Exception):
    """The configuration cannot be used; the text names every place and remedy, a line each."""


class Settings(BaseSettings, Config):
    """`Config` with its sources; flags come in as a `CliSettingsSource`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
    )


def load(path: Path | None, flags: CliSettingsSource[Settings] | None = None) -> Config:
    """Read and check the configuration.

    Args:
        path: the YAML file; None to do without one.
        flags: parsed command line, if any.

    Returns:
        The configuration with every ``global_config`` replaced by its liteservers.

    Raises:
        ConfigError: it cannot be read, or something in it cannot be used.
    """
    written, lines = _read_yaml(path) if path is not None else ({}, {})
    _check_environment(os.environ)

    class Loader(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del init_settings, dotenv_settings, file_secret_settings
            file = InitSettingsSource(settings_cls, init_kwargs=written)
            return (*([flags] if flags else []), env_settings, file)

    try:
        loaded = Loader()
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(detail, path, lines) for detail in error.errors(include_url=False))
        ) from None
    except SettingsError as error:
        raise ConfigError(f"environment or flags: {error}; lists are written as JSON") from None
    values = {name: getattr(loaded, name) for name in Config.model_fields}
    return Config(**values | {"liteservers": tuple(_expand(loaded))})


def schema() -> dict[str, Any]:
    """JSON Schema of the configuration file, for editors."""
    return Config.model_json_schema() | {"title": "tonwatch configuration"}


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The file's content, and the line on which each place in it is written."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if content is None:
        return {}, {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: the file must be a mapping with keys such as liteservers")
    lines: dict[Location, int] = {}
    if node is not None:
        _note_lines(node, (), lines)
    return content, lines


def _note_lines(node: yaml.Node, place: Location, lines: dict[Location, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[*place, key.value] = key.start_mark.line + 1
            _note_lines(value, (*place, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[*place, index] = value.start_mark.line + 1
            _note_lines(value, (*place, index), lines)


def _check_environment(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored silently; refuse it instead."""
    known = sorted(Config.model_fields)
    for name in environment:
        if not name.startswith(ENV_PREFIX) or name == ENV_CONFIG:
            continue
        key = name.removeprefix(ENV_PREFIX).lower().split("__")[0]
        if key not in known and not _SERVICE_LINKS.fullmatch(name):
            raise ConfigError(f"environment {name}: unknown setting{_did_you_mean(key, known)}")


def _explain(detail: ErrorDetails, path: Path | None, lines: Mapping[Location, int]) -> str:
    """One mistake in one line: file and line where known, the place, what is wrong."""
    tags = ("liteserver", "global_config")
    place = tuple(
        part
        for index, part in enumerate(detail["loc"])
        # pydantic puts the tag of a union's branch into the path; it is not in the file.
        if not (index == 2 and detail["loc"][0] == "liteservers" and part in tags)
    )
    nearest = place
    while nearest and nearest not in lines:
        nearest = nearest[:-1]
    where = f"{path}:{lines[nearest]}: " if nearest else ""
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key" + _did_you_mean(str(place[-1]), _keys_beside(place))
    elif detail["type"] == "missing":
        message = "missing; it is required here"
    elif detail["type"] == "string_pattern_mismatch" and place[-1] == "name":
        message = "use lower-case letters, digits and . _ - inside, at most 63 characters"
    return f"{where}{_dotted(place)}: {message}" if place else f"{where}{message}"


def _dotted(place: Location) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys_beside(place: Location) -> list[str]:
    """The keys that would be right where an unknown one was written."""
    models: list[type[BaseModel]] = [Config]
    for part in place[:-1]:
        if isinstance(part, str):
            annotations = [
                m.model_fields[part].annotation for m in models if part in m.model_fields
            ]
            models = [model for annotation in annotations for model in _models_in(annotation)]
    return sorted({key for model in models for key in model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _did_you_mean(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


def _expand(config: Config) -> list[LiteServer]:
    """Replace each ``global_config`` by the first `count` liteservers of its file."""
    targets: list[LiteServer] = []
    for index, source in enumerate(config.liteservers):
        if isinstance(source, GlobalConfig):
            try:
                targets += _from_global_config(source, config.zerostate)
            except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
                text = error.strerror if isinstance(error, OSError) else str(error)
                raise ConfigError(
                    f"liteservers[{index}].global_config: {source.global_config}: {text};"
                    " it must be the network's own global.config.json"
                ) from None
        else:
            targets.append(source)
    return targets


def _from_global_config(source: GlobalConfig, zerostate: bytes) -> list[LiteServer]:
    content = json.loads(source.global_config.read_text(encoding="utf-8"))
    network = base64.b64decode(content["validator"]["zero_state"]["root_hash"])
    if network != zerostate:
        raise ValueError(f"is of the network with zerostate {network.hex()}, not of `network`")
    servers = content["liteservers"]
    if len(servers) < source.count:
        raise ValueError(f"has {len(servers)} liteservers, fewer than count: {source.count}")
    return [
        LiteServer(
            name=f"{source.name}-{number}",
            host=server.get("hostname") or socket.inet_ntoa(struct.pack(">i", server["ip"])),
            port=server["port"],
            key=server["id"]["key"],
            role=source.role,
        )
        for number, server in enumerate(servers[: source.count], start=1)
    ]
