"""Loads the configuration: YAML file, then environment, then flags, each over the last.

Every mistake is a `ConfigError` with its place and how to fix it.
"""

import argparse
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tonwatch.config import strict
from tonwatch.config.conflicts import Placed, conflicts
from tonwatch.config.models import USUAL, Config, config_model
from tonwatch.config.strict import Place, dotted
from tonwatch.config.target import Entry, ListName

ENV_PREFIX: Final = "TONWATCH_"
ENV_CONFIG: Final = "TONWATCH_CONFIG"

_LISTS: Final[tuple[ListName, ...]] = get_args(ListName)
"""The lists of targets."""

_SERVICE_LINKS: Final = re.compile(
    r"TONWATCH_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_\w+)?)=.*|PORT(_\d+_\w+)?=(tcp|udp|sctp)://.*"
    r"|PORT_\d+_(TCP|UDP|SCTP)_(ADDR|PORT|PROTO)=.*)"
)
"""Variables that Kubernetes injects for Services named tonwatch or tonwatch-...; ignored."""


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


Sections = tuple[type[Entry], ...]
"""The possible entries of ``liteservers`` and ``providers``: the sections of all kinds."""


@cache
def settings_model(sections: Sections) -> type[Settings]:
    """The settings with these kinds of targets."""
    bases: Any = (config_model(sections), Settings)
    return cast("type[Settings]", create_model("Settings", __base__=bases))


def load(
    path: Path | None, sections: Sections, flags: CliSettingsSource[Settings] | None = None
) -> Config:
    """Read and check the configuration.

    Args:
        path: the YAML file; None to do without one.
        sections: of all kinds of targets.
        flags: parsed command line, if any.

    Returns:
        The configuration; an entry that stands for several targets is replaced by them.

    Raises:
        ConfigError: it cannot be read, or something in it cannot be used.
    """
    written, lines = _read_file(path) if path is not None else ({}, {})
    _check_environment(os.environ)
    origin = _Origin(path, lines)
    model = settings_model(sections)

    class Loader(model):  # type: ignore[misc, valid-type]  # made at run time, from the kinds
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
            over = (*([flags] if flags else []), env_settings)
            origin.above.extend(source() for source in over)
            return (*over, InitSettingsSource(settings_cls, init_kwargs=written))

    try:
        loaded = Loader()
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(detail, origin, model) for detail in error.errors(include_url=False))
        ) from None
    except SettingsError as error:
        raise ConfigError(f"environment or flags: {error}; lists are written as JSON") from None
    placed = list(_placed(loaded))
    if found := [
        origin.of(conflict.place) + conflict.text for conflict in conflicts(placed, loaded.serve)
    ]:
        raise ConfigError("\n".join(found))
    values = {name: getattr(loaded, name) for name in Config.model_fields}
    for listed in _LISTS:
        values[listed] = tuple(each.target for each in placed if each.target.listed == listed)
    return Config(**values)


def schema(sections: Sections) -> dict[str, Any]:
    """JSON Schema of the configuration file, for editors."""
    return config_model(sections).model_json_schema() | {"title": "tonwatch configuration"}


def _read_file(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """The file's content, and the line on which each place in it is written."""
    try:
        content, lines = strict.read_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except strict.NotReadable as error:
        raise ConfigError(str(error)) from None
    if content is None:
        return {}, {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: the file must be a mapping with keys such as liteservers")
    return content, lines


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuse misspelt variables, and two spellings of one: both would be ignored silently."""
    known = sorted(Config.model_fields)
    first: dict[str, str] = {}
    for name, text in environment.items():
        if not name.upper().startswith(ENV_PREFIX) or name == ENV_CONFIG:
            continue
        key = name.lower().removeprefix(ENV_PREFIX.lower()).split("__")[0]
        if key not in known and not _SERVICE_LINKS.fullmatch(f"{name}={text}"):
            raise ConfigError(f"environment {name}: unknown setting{_did_you_mean(key, known)}")
        if first.setdefault(name.upper(), name) != name:
            raise ConfigError(
                f"environment {first[name.upper()]} and {name}: one setting, written twice;"
                " keep one of them"
            )
        _check_json(text, f"environment {name}")


def read_flags(
    source: CliSettingsSource[Settings], options: argparse.Namespace
) -> CliSettingsSource[Settings]:
    """The settings among the options of a command line, for `load`.

    Raises:
        ConfigError: JSON in them cannot be read, or has a key twice.
    """
    for name, value in vars(options).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                _check_json(text, f"--{name}")
    try:
        return source(parsed_args=options)
    except SettingsError as error:
        raise ConfigError(f"flags: {error}; lists are written as JSON") from None


def _check_json(text: str, source: str) -> None:
    """Refuse a duplicate key in an object, of which pydantic-settings would drop one."""
    if not text.lstrip().startswith(("{", "[")):
        return
    # A flag may also hold the entries of a list without the list's brackets.
    for written in (text, f"[{text}]"):
        try:
            strict.read_json(written, source, any_case=True)
            return
        except strict.Malformed:
            continue  # Text such as [::]; where JSON is needed, validation reports it.
        except strict.NotReadable as error:
            raise ConfigError(str(error)) from None


@dataclass
class _Origin:
    """Where values come from: the `lines` of a file, unless a source `above` overrides them."""

    path: Path | None
    lines: Mapping[Place, int]
    above: list[Mapping[str, Any]] = field(default_factory=list)

    def of(self, place: Place) -> str:
        """The prefix of an error there: file and line, or nothing if unknown."""
        if any(_has(content, place) for content in self.above):
            return ""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines[place]}: " if place else ""


def _has(content: Any, place: Place) -> bool:
    """Whether a flag or variable sets the value at a place; a list is replaced as a whole."""
    for part in place:
        if not isinstance(content, Mapping):
            return True
        if part not in content:
            return False
        content = content[part]
    return not isinstance(content, Mapping)


def _explain(detail: ErrorDetails, origin: _Origin, model: type[Config]) -> str:
    """One mistake in one line: file and line where known, the place, what is wrong."""
    # pydantic puts the tag of a union's branch behind the index of an entry; the file has none.
    loc = detail["loc"]
    place = (*loc[:2], *loc[3:]) if _is_tagged(loc, model) else loc
    where = origin.of(place)
    message = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            message = "unknown key" + _did_you_mean(str(place[-1]), _keys_beside(loc, model))
        case "missing":
            message = "missing; it is required here"
        case "string_pattern_mismatch" if place[-1] == "name":
            message = "use lower-case letters, digits and . _ - inside, at most 63 characters"
        case "union_tag_not_found":
            place, message = (*place, "kind"), "missing; it is required here"
        case "union_tag_invalid":
            known = [part.strip("' ") for part in detail["ctx"]["expected_tags"].split(",")]
            kind = str(detail["ctx"]["tag"])
            place, message = (*place, "kind"), f"unknown kind {kind!r}{_did_you_mean(kind, known)}"
    return f"{where}{dotted(place)}: {message}" if place else f"{where}{message}"


def _is_tagged(loc: Place, model: type[Config]) -> bool:
    """Whether a mistake is in an entry that was selected by a tag."""
    if len(loc) < 3 or loc[0] not in _LISTS:
        return False
    return len(_models_in(model.model_fields[str(loc[0])].annotation)) > 1


def _keys_beside(loc: Place, model: type[Config]) -> list[str]:
    """The valid keys beside an unknown one."""
    models: list[type[BaseModel]] = [model]
    for part in loc[:-1]:
        if not isinstance(part, str):
            continue
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [m for m in models if issubclass(m, Entry) and part == (m.tag or USUAL)] or [
            each for annotation in annotations for each in _models_in(annotation)
        ]
    return sorted({key for each in models for key in each.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _did_you_mean(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


def _placed(config: Config) -> Iterable[Placed]:
    """Every target, with its place; where an entry stands for several, each of them."""
    for listed in _LISTS:
        for index, entry in enumerate(getattr(config, listed)):
            place: Place = (listed, index)
            try:
                targets = entry.targets(config.zerostate)
            except ValueError as error:
                raise ConfigError(f"{dotted((*place, entry.tag))}: {error}") from None
            for number, target in enumerate(targets, start=1):
                yield Placed(target, place, entry, number)
