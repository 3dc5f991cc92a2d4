"""Configurations and targets of the kinds that there are."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from tonwatch.config import loader
from tonwatch.config.models import Config, config_model
from tonwatch.config.target import Role
from tonwatch.samples.sample import Probe
from tonwatch.samples.target import Target
from tonwatch.targets import registry

KEY: Final = "n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk="
"""Some liteserver's public key."""

REASONS: Final = {kind.name: kind.reasons for kind in registry.KINDS}
"""How probes can end, by kind of target."""


@cache
def _model() -> type[Config]:
    return config_model(registry.sections())


def configured(content: Any) -> Config:
    """The configuration with this content."""
    return _model().model_validate(content)


def load(path: Path | None) -> Config:
    """The configuration in a file."""
    return loader.load(path, registry.sections())


def make_target(
    name: str,
    kind: str,
    role: Role,
    local: bool = False,
    about_wallets: Iterable[Probe] = (),
) -> Target:
    """A target of one of the kinds, without connections."""
    [found] = [each for each in registry.KINDS if each.name == kind]
    where: dict[str, Any] = {
        "liteserver": {
            "host": "10.0.0.1",
            "port": 1,
            "key": "n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk=",
        },
        "toncenter-v2": {"kind": kind, "url": "http://10.0.0.1/api/v2"},
    }
    # All have one address here, and nobody's targets are one source.
    section = found.section(name=name, role=role, local=local, operator=name, **where[kind])
    return found.target(section, about_wallets)
