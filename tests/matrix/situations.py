"""The fault matrix: faults, and what tonwatch must report. See matrix.yaml.

    python -m tests.matrix.situations NAME

prints a situation as a scenario for ``tonwatch simulate``.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, model_validator

from tonwatch.config.durations import PositiveDuration
from tonwatch.config.models import ProbeConfig
from tonwatch.samples.sample import Probe
from tonwatch.simulator.scenarios.scenario import Part, Scenario, Step, parse
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State

MATRIX: Final = Path(__file__).parent / "matrix.yaml"

INTERVAL: Final = ProbeConfig().interval
"""Seconds from probe to probe."""

_QUIET: Final = 30.0
"""Seconds before the first fault, where `tonwatch simulate` plays a situation."""

_AFTERWARDS: Final = 8
"""Probe intervals that a situation is watched after its recovery."""


class Balances(StrEnum):
    """How well the balances of all wallets are known: the worst of them."""

    NONE = "none"
    """There are no wallets."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    UNKNOWN = "unknown"


class Expected(Part):
    """What a step leads to, in the end; `ready` and `states` None leave that open."""

    cause: Cause
    also: tuple[Cause, ...] = ()
    states: dict[str, State] | None = Field(default_factory=dict)
    balances: Balances = Balances.PROVEN
    ready: bool | None = True
    within: float = 2.0
    alert: str = ""
    never: tuple[Cause, ...] = ()
    on_the_way: dict[Cause, str] = Field(default_factory=dict)


class MatrixStep(Step):
    """A step that lasts for some seconds, and what is expected of it.

    Attributes:
        local_clock: seconds by which the clock of tonwatch's machine is ahead from now on.
        away: tonwatch does not run while it lasts, and nothing is expected.
        config: tonwatch is restarted, with this laid over its configuration; see `overlaid`.
        pay: coins that wallets are asked to pay, whether they have them or not.
    """

    lasts: Annotated[PositiveDuration, Field(alias="for")] = 60.0
    local_clock: float | None = None
    away: bool = False
    config: dict[str, Any] | None = None
    pay: dict[str, float] = Field(default_factory=dict)
    expect: Expected

    @model_validator(mode="before")
    @classmethod
    def _expects_nothing(cls, step: Any) -> Any:
        if isinstance(step, dict) and step.get("away"):
            return {"expect": {"cause": Cause.HEALTHY}} | step
        return step


class Situation(Scenario):
    """A row of the matrix: a scenario whose steps follow each other.

    Attributes:
        config: laid over tonwatch's configuration; see `overlaid`.
        found_by: the probe that finds it: the first fault comes right after that.
        recovers_within: probe intervals until all is well again.
        stays: the cause that is named even when all is over.
    """

    group: str
    situation: str
    steps: tuple[MatrixStep, ...]
    config: dict[str, Any] = Field(default_factory=dict)
    found_by: Probe = Probe.HEAD
    recovers_within: float = 2.2
    stays: Cause = Cause.HEALTHY

    @property
    def played(self) -> tuple[MatrixStep, ...]:
        """The steps, and then the end of all faults."""
        end = MatrixStep.model_validate(
            {
                "clear": "all",
                "local_clock": 0.0,
                "config": None if all(step.config is None for step in self.steps) else {},
                "for": f"{(self.recovers_within + _AFTERWARDS) * INTERVAL}s",
                "expect": Expected(cause=self.stays, within=self.recovers_within),
            }
        )
        return (*self.steps, end)

    @property
    def restarts(self) -> tuple[bool, ...]:
        """For each step that is played, whether tonwatch is restarted with it."""
        steps = self.played
        were_away = (False, *(step.away for step in steps[:-1]))
        return tuple(
            not step.away and (step.config is not None or was_away)
            for step, was_away in zip(steps, were_away, strict=True)
        )

    @property
    def configs(self) -> tuple[dict[str, Any], ...]:
        """For each step that is played, what is laid over the configuration on top of `config`."""
        configs: list[dict[str, Any]] = []
        for step in self.played:
            before = configs[-1] if configs else {}
            configs.append(before if step.config is None else step.config)
        return tuple(configs)

    def scenario(self) -> dict[str, Any]:
        """As a file for ``tonwatch simulate``, which cannot set the local clock."""
        steps = []
        at = _QUIET
        for step in self.steps:
            written = step.model_dump(mode="json", include={"clear", "set", "say"})
            steps.append(
                {"at": f"{at:g}s"} | {key: value for key, value in written.items() if value}
            )
            at += step.lasts
        return {
            "name": self.name,
            "description": self.situation,
            "network": self.network.model_dump(mode="json"),
            "steps": [step for step in steps if len(step) > 1],
            "duration": f"{at:g}s",
        }


def overlaid(config: Any, overlay: Any) -> Any:
    """`config` with `overlay` laid over it, where entries of lists are found by their names."""
    if not isinstance(overlay, Mapping):
        return overlay
    if isinstance(config, list):
        named = {entry["name"]: entry for entry in config}
        after = overlaid(named, {name: {"name": name} | more for name, more in overlay.items()})
        return list(after.values())
    return {
        **config,
        **{key: overlaid(config.get(key, {}), more) for key, more in overlay.items()},
    }


@cache
def situations() -> tuple[Situation, ...]:
    """All rows, in the order of the file.

    Raises:
        ValueError: the text names the row and the place in it.
    """
    groups = yaml.safe_load(MATRIX.read_text())
    return tuple(
        parse(Situation, row | {"group": group}, f"{group}: {row.get('name')}")
        for group, rows in groups.items()
        for row in rows
    )


if __name__ == "__main__":
    by_name = {situation.name: situation for situation in situations()}
    if len(sys.argv) != 2 or sys.argv[1] not in by_name:
        sys.exit("name one of:\n  " + "\n  ".join(by_name))
    sys.stdout.write(yaml.safe_dump(by_name[sys.argv[1]].scenario(), sort_keys=False))
