"""Scenarios: a simulated network and its faults over time, from a YAML file.

name: restart
description: node-1 is restarted and takes a minute to sync.
network: {liteservers: 2, providers: 1}
steps:
  - at: 30s
    say: node-1 restarts
    set: {node-1: refuse}
  - at: 45s
    set: {node-1: catch_up:180}
  - at: 120s
    clear: all
duration: 150s
"""

import asyncio
from collections.abc import Callable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from tonwatch.config.durations import Duration, PositiveDuration
from tonwatch.config.strict import dotted, read_yaml
from tonwatch.simulator.faults.breakable import distinct
from tonwatch.simulator.faults.fault import ActiveFault, Fault, parse_faults
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.servers.registry import ServerSpec

_FILES: Final = resources.files("tonwatch.simulator.scenarios")

Assignment = tuple[str, Fault, float | None]


class Part(BaseModel):
    """A part of a scenario; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _count_or_names(value: object) -> object:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_count and not isinstance(value, list | tuple):
        raise ValueError("write how many, or a list of names")
    return value


_Names = Annotated[int | tuple[str, ...], BeforeValidator(_count_or_names)]


class Server(Part):
    """A server of another kind than its section's default."""

    name: Annotated[str, Field(min_length=1)]
    kind: str


def _count_or_servers(value: object) -> object:
    wanted = _count_or_names(value)
    return tuple(map(_server, wanted)) if isinstance(wanted, list | tuple) else wanted


def _server(value: object) -> object:
    if isinstance(value, dict):
        texts = all(isinstance(each, str) and each for each in value.values())
        if value.keys() != {"name", "kind"} or not texts:
            raise ValueError("write a server as its name, or as {name: NAME, kind: KIND}")
        return Server(**value)
    return value


_Servers = Annotated[int | tuple[str | Server, ...], BeforeValidator(_count_or_servers)]


class Network(Part):
    """The network that a scenario needs: arguments of `Simulator`."""

    liteservers: _Servers = 2
    providers: _Servers = 1
    wallets: _Names = 0
    contracts: _Names = 0
    payouts_per_minute: Annotated[float, Field(ge=0, le=60)] = 0.0
    primaries: Annotated[int, Field(ge=0)] = 1
    external: tuple[str, ...] = Field((), description="targets that are not on this machine")
    block_interval: PositiveDuration = 0.4

    @model_validator(mode="after")
    def _not_empty(self) -> "Network":
        if not self.liteservers and not self.providers:
            raise ValueError("at least one liteserver or provider is needed")
        return self


class Step(Part):
    """A change of faults.

    Attributes:
        at: when, in seconds from the start.
        say: the text that is printed.
        clear: the targets whose faults end, before any are set.
        set: the new faults of each target, ``fault`` or ``fault:number``, several with ``+``
            between them; the target ``chain`` is the whole network.
    """

    at: Duration = 0.0
    say: str = ""
    clear: Literal["all"] | tuple[str, ...] = ()
    set: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The text that is printed: `say`, or the faults by name."""
        ended = "all faults" if self.clear == "all" else ", ".join(self.clear)
        changes = [f"{ended}: cleared"] if ended else []
        changes += [f"{target}: {fault}" for target, fault in self.set.items()]
        return self.say or ", ".join(changes)

    def assignments(self) -> list[Assignment]:
        """The targets, faults and numbers of `set`.

        Raises:
            ValueError: there is no such fault, or its number is not a number.
        """
        return [
            (target, fault, value)
            for target, text in self.set.items()
            for fault, value in parse_faults(text)
        ]


class Scenario(Part):
    """A network, and its faults over time.

    Attributes:
        duration: when all faults end, seconds from the start; None for never.
    """

    name: Annotated[str, Field(min_length=1)] = "unnamed"
    description: str = ""
    network: Network = Network()
    steps: tuple[Step, ...] = ()
    duration: PositiveDuration | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Scenario":
        times = [step.at for step in self.steps]
        for index, (before, at) in enumerate(pairwise(times), start=1):
            if at < before:
                raise ValueError(f"steps[{index}].at: {at:g} s is before the step above it")
        if self.duration is not None and times and self.duration < times[-1]:
            raise ValueError(f"duration: the last step comes later, at {times[-1]:g} s")
        return self

    def simulator(self, **more: Any) -> Simulator:
        """The network, not started yet; `more` are further arguments of `Simulator`.

        Raises:
            ValueError: a step is impossible in this network; the text names it.
        """
        simulator = Simulator(
            liteservers=_specs(self.network.liteservers),
            providers=_specs(self.network.providers),
            wallets=self.network.wallets,
            contracts=self.network.contracts,
            payouts_per_minute=self.network.payouts_per_minute,
            primaries=self.network.primaries,
            external=self.network.external,
            block_interval=self.network.block_interval,
            **more,
        )
        for index, step in enumerate(self.steps):
            try:
                for target in step.clear if step.clear != "all" else ():
                    simulator.target(target)
                _faults(step, simulator)
            except ValueError as error:
                raise ValueError(f"{self.name}: steps[{index}]: {error}") from None
        return simulator


def _specs(servers: int | tuple[str | Server, ...]) -> int | list[str | ServerSpec]:
    if isinstance(servers, int):
        return servers
    return [each if isinstance(each, str) else ServerSpec(each.name, each.kind) for each in servers]


async def play(
    scenario: Scenario,
    simulator: Simulator,
    *,
    pace: float = 1.0,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the steps at their times, until the `duration` if there is one.

    Args:
        scenario: the steps.
        simulator: the started network of `scenario.simulator`.
        pace: factor by which the steps are faster than written.
        report: gets each step's text when it is done.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    for step in scenario.steps:
        await _until(began + step.at / pace)
        await apply_step(step, simulator)
        report(step.text)
    if scenario.duration is not None:
        await _until(began + scenario.duration / pace)
        await simulator.clear()


async def apply_step(step: Step, simulator: Simulator) -> None:
    """Run one step now."""
    if step.clear == "all":
        await simulator.clear()
    else:
        for target in step.clear:
            await simulator.clear(target)
    for target, faults in _faults(step, simulator).items():
        await simulator.set_faults(target, *faults)


def _faults(step: Step, simulator: Simulator) -> dict[str, tuple[ActiveFault, ...]]:
    """The new faults of each target of a step.

    Raises:
        ValueError: there is no such target or fault, or the target does not support it.
    """
    found: dict[str, list[ActiveFault]] = {}
    for target, fault, value in step.assignments():
        found.setdefault(target, []).append(simulator.check(target, fault, value))
    return {target: distinct(faults) for target, faults in found.items()}


async def _until(moment: float) -> None:
    delay = moment - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)


# Files.


def load(name: str) -> Scenario:
    """Read a scenario.

    Args:
        name: one of `shipped`, or the path of a file.

    Raises:
        ValueError: the text names the file and every place in it that is wrong.
        OSError: it cannot be read.
    """
    if name in shipped():
        return _read(_FILES / f"{name}.yaml")
    path = Path(name)
    if not path.exists() and path.suffix == "" and path.name == name:
        raise ValueError(f"no file and no scenario {name!r}; scenarios are: {', '.join(shipped())}")
    return _read(path)


def shipped() -> list[str]:
    """Names of the scenarios that come with the program."""
    return sorted(_yaml_stems())


def _yaml_stems() -> Iterator[str]:
    for file in _FILES.iterdir():
        stem, dot, ending = file.name.rpartition(".")
        if dot and ending == "yaml":
            yield stem


def _read(file: Traversable) -> Scenario:
    try:
        content = read_yaml(file.read_text(encoding="utf-8"), str(file)).content
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    if isinstance(content, dict):
        content.setdefault("name", file.name.removesuffix(".yaml"))
    return parse(Scenario, content, str(file))


Model = TypeVar("Model", bound=Part)


def parse(model: type[Model], content: object, source: str) -> Model:
    """`content` as a `model`.

    Raises:
        ValueError: a line for each mistake, with `source` and the place in it.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = (_explain(detail) for detail in error.errors(include_url=False))
        raise ValueError("\n".join(f"{source}: {line}" for line in lines)) from None


def _explain(detail: ErrorDetails) -> str:
    place = dotted(detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key"
    return f"{place}: {message}" if place else message
