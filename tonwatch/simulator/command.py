"""``tonwatch simulate``: the network alone, for rehearsals and for other tools."""

import asyncio
import signal
from collections.abc import Sequence
from typing import TextIO

from tonwatch.simulator.control import Control
from tonwatch.simulator.faults import parse_assignment
from tonwatch.simulator.network import Simulator

_HEADER = """\
# A simulated TON network is running: {interval:g} s a block. Ctrl-C ends it.
#
# Save this output as simulated.yaml, then watch the network with
#     tonwatch run --config simulated.yaml
#
# Break something, and mend it again:
#     curl -X PUT {url}/targets/{name}/fault -d '{{"fault": "lag", "value": 30}}'
#     curl -X DELETE {url}/targets/{name}/fault
# All targets and the faults they support:
#     curl {url}/targets
"""


async def run_simulator(
    *,
    liteservers: int,
    providers: int,
    block_interval: float,
    control_port: int,
    faults: Sequence[str],
    out: TextIO,
) -> None:
    """Run a network until SIGINT or SIGTERM.

    Args:
        liteservers: how many: node-1, node-2, ...
        providers: how many: provider-1, ...
        block_interval: seconds between blocks.
        control_port: port of the control API on 127.0.0.1; 0 for a free one.
        faults: set from the start, as ``TARGET=FAULT`` or ``TARGET=FAULT:NUMBER``.
        out: gets a configuration for tonwatch with a comment on how to use it.

    Raises:
        ValueError: an argument makes no sense; nothing was started.
        OSError: the control port is taken.
    """
    if liteservers < 0 or providers < 0 or liteservers + providers < 1:
        raise ValueError("at least one liteserver or provider is needed")
    if block_interval <= 0:
        raise ValueError("the block interval must be above zero")
    assignments = [parse_assignment(text) for text in faults]
    simulator = Simulator(
        liteservers=liteservers, providers=providers, block_interval=block_interval
    )
    for target, fault, value in assignments:
        simulator.check(target, fault, value)
    async with simulator, Control(simulator, control_port) as control:
        for target, fault, value in assignments:
            await simulator.set_fault(target, fault, value)
        name = simulator.targets[0].name
        out.write(_HEADER.format(interval=block_interval, url=control.url, name=name))
        out.write(simulator.config_yaml())
        out.flush()
        await _until_told_to_stop()


async def _until_told_to_stop() -> None:
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
