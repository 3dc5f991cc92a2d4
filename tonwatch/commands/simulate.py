"""``tonwatch simulate``: the simulated network alone, for rehearsals and other tools."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tonwatch.commands.options import OK, PROBLEM, USAGE, Loading
from tonwatch.simulator.control import Control
from tonwatch.simulator.scenarios import scenario
from tonwatch.simulator.scenarios.scenario import Scenario, load, play, shipped

_HEADER = """\
# A simulated TON network is running: {interval:g} s a block. Ctrl-C ends it.
#
# Save this output as simulated.yaml, then watch the network with
#     tonwatch run --config simulated.yaml
#
# Set a fault, and end it:
#     curl -X PUT {url}/targets/{name}/faults -d '[{{"fault": "lag", "value": 30}}]'
#     curl -X DELETE {url}/targets/{name}/faults
# All targets and the faults they support:
#     curl {url}/targets
"""


async def run_simulator(
    scenario: Scenario, *, pace: float, base_port: int, control_port: int, out: TextIO, log: TextIO
) -> None:
    """Run a network and its scenario until SIGINT or SIGTERM.

    Args:
        scenario: the network and the steps.
        pace: factor by which the steps are faster than written.
        base_port: port of the first target, the others have the next ones; 0 for free ports.
        control_port: port of the control API on 127.0.0.1; 0 for a free one.
        out: gets a configuration for tonwatch with a comment on how to use it.
        log: gets a line for each step.

    Raises:
        ValueError: an argument is invalid; nothing was started.
        OSError: a port is taken.
    """
    simulator = scenario.simulator(base_port=base_port)
    last_port = base_port + len(simulator.servers) - 1
    if not 0 <= base_port <= last_port <= 65535:
        raise ValueError(f"the ports {base_port} to {last_port} are not all from 1 to 65535")

    def report(text: str) -> None:
        with suppress(BrokenPipeError):
            print(f"{time.strftime('%H:%M:%S')}  {text}", file=log, flush=True)

    async def steps() -> None:
        try:
            await play(scenario, simulator, pace=pace, report=report)
        except OSError as error:
            # The network and the control port can still be used.
            report(f"the scenario ends here: {error}")
            return
        if scenario.duration is not None:
            report("the scenario is over; no more faults until Ctrl-C")

    async with simulator, Control(simulator, control_port) as control:
        name = simulator.servers[0].name
        out.write(_HEADER.format(interval=simulator.chain.interval, url=control.url, name=name))
        out.write(simulator.config_yaml(_new_state_dir()))
        out.flush()
        if scenario.description:
            report(scenario.description)
        playing = asyncio.create_task(steps(), name="scenario")
        await _wait_for_signal()
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing


def list_scenarios(out: TextIO) -> None:
    """Print the scenarios that come with the program, a line each."""
    names = shipped()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {load(name).description}", file=out)


def _new_state_dir() -> str:
    """A path that does not exist yet; tonwatch creates it if it has wallets."""
    return str(Path(tempfile.gettempdir()) / f"tonwatch-simulated-{time.time_ns()}")


async def _wait_for_signal() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def command(options: argparse.Namespace, _: Loading) -> int:
    """``tonwatch simulate``; returns the exit code."""
    if options.list:
        list_scenarios(sys.stdout)
        return OK
    try:
        asyncio.run(
            run_simulator(
                _scenario(options),
                pace=options.pace,
                base_port=options.base_port,
                control_port=options.control_port,
                out=sys.stdout,
                log=sys.stderr,
            )
        )
    except ValueError as error:
        print(f"tonwatch simulate: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"tonwatch simulate: {error}", file=sys.stderr)
        return PROBLEM
    return OK


def _scenario(options: argparse.Namespace) -> Scenario:
    """The named scenario, or the one of the other options."""
    network = {
        "liteservers": options.liteservers,
        "providers": options.providers,
        "wallets": options.wallets,
        "payouts_per_minute": 6 if options.wallets else None,
        "block_interval": options.block_interval and f"{options.block_interval}s",
    }
    given = {key: value for key, value in network.items() if value is not None}
    if options.scenario is not None:
        if given or options.fault:
            raise ValueError("--scenario defines the network and its faults itself")
        return scenario.load(options.scenario)
    faults: dict[str, str] = {}
    for assigned in options.fault:
        target, equals, fault = assigned.partition("=")
        if not target or not equals:
            raise ValueError(f"--fault: {assigned!r} is not TARGET=FAULT or TARGET=FAULT:NUMBER")
        faults[target] = f"{faults[target]} + {fault}" if target in faults else fault
    steps = [{"set": faults}] if faults else []
    content = {"name": "options", "network": given, "steps": steps}
    return scenario.parse(scenario.Scenario, content, "options")
