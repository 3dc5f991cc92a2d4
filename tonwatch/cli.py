"""The commands. Each imports what it needs when it runs, so that all start fast."""

import argparse
import asyncio
import math
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tonwatch.commands.exit_codes import OK, PROBLEM, USAGE

if TYPE_CHECKING:
    from tonwatch.config.models import Config
    from tonwatch.simulator.scenarios.scenario import Scenario


class _NothingToWatch(Exception):
    """No target is configured. Its argument is the file that was read; None for none."""

    def __str__(self) -> str:
        (file,) = self.args
        return (
            "tonwatch: nothing to watch: no liteserver and no provider is configured"
            f"{f' in {file}' if file else ''}.\n"
            "Write them into a file (see docs/configuration.md) and start"
            " `tonwatch run --config FILE`.\n"
            "To see it work first, on a simulated network with incidents: `tonwatch demo`."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 ok, 1 a problem was found, 2 wrong usage."""
    parser = Parser()
    options = parser.parse_args(arguments)
    from tonwatch.config.loader import ConfigError

    try:
        code: int = options.command(options, parser)
    except ConfigError as error:
        print(f"tonwatch: the configuration cannot be used:\n{error}", file=sys.stderr)
        return USAGE
    except _NothingToWatch as error:
        print(error, file=sys.stderr)
        return USAGE
    return code


class Parser:
    """The command line: one parser for each command, settings as flags where they apply."""

    def __init__(self) -> None:
        from pydantic_settings import CliSettingsSource

        from tonwatch.config.loader import ENV_CONFIG, Settings, settings_model
        from tonwatch.targets import registry

        settings = argparse.ArgumentParser(add_help=False)
        settings.add_argument(
            "--config",
            type=Path,
            default=os.environ.get(ENV_CONFIG),
            metavar="FILE",
            help=f"YAML file with what to watch (or {ENV_CONFIG} in the environment)",
        )
        self.source: CliSettingsSource[Settings] = CliSettingsSource(
            settings_model(registry.sections()), root_parser=settings
        )
        self._root = argparse.ArgumentParser(
            prog="tonwatch", description="Watches TON liteservers and RPC providers."
        )
        self._root.add_argument("--version", action="version", version=version("tonwatch"))
        self._commands = self._root.add_subparsers(required=True, metavar="COMMAND")
        self._add("run", _run, "watch and serve until told to stop", settings)
        check = self._add("check", _check, "ask everything once; exit 1 on a problem", settings)
        check.add_argument("--json", action="store_true", help="print the /health document")
        self._add_config(settings)
        self._add_bundle()
        self._add_simulate()
        demo = self._add("demo", _demo, "watch a simulated network that has incidents")
        demo.add_argument("--port", type=_port, default=9717, help="where to serve (default: 9717)")
        demo.add_argument(
            "--pace", type=_pace, default=1.0, help="how much faster incidents follow (default: 1)"
        )
        self._add("healthcheck", _healthcheck, "ask /live of the daemon on this machine", settings)

    def parse_args(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        return self._root.parse_args(arguments)

    def load(self, options: argparse.Namespace) -> "Config":
        """The configuration that the options, the environment and the file make together."""
        from tonwatch.config.loader import load, read_flags
        from tonwatch.targets import registry

        path = Path(options.config) if options.config else None
        return load(path, registry.sections(), read_flags(self.source, options))

    def load_to_watch(self, options: argparse.Namespace) -> "Config":
        """The configuration, for a command that has to watch something or say whether it could.

        Raises:
            _NothingToWatch: there is no target in it.
        """
        config = self.load(options)
        if not config.liteservers and not config.providers:
            raise _NothingToWatch(options.config)
        return config

    def _add(
        self,
        name: str,
        command: Callable[[argparse.Namespace, "Parser"], int],
        text: str,
        *parents: argparse.ArgumentParser,
        to: "argparse._SubParsersAction[argparse.ArgumentParser] | None" = None,
    ) -> argparse.ArgumentParser:
        parser = (to or self._commands).add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", parents=list(parents)
        )
        parser.set_defaults(command=command)
        return parser

    def _add_config(self, settings: argparse.ArgumentParser) -> None:
        parser = self._commands.add_parser("config", help="look at the configuration")
        actions = parser.add_subparsers(required=True, metavar="ACTION")
        self._add("check", _config_check, "say whether it can be used", settings, to=actions)
        self._add("show", _config_show, "print all of it, defaults included", settings, to=actions)
        self._add("schema", _config_schema, "print its JSON Schema, for editors", to=actions)

    def _add_bundle(self) -> None:
        from tonwatch.commands.bundle import command
        from tonwatch.commands.bundle.options import add_options

        parser = self._commands.add_parser("bundle", help="alerts, dashboards and runbooks")
        actions = parser.add_subparsers(required=True, metavar="ACTION")
        text = "write alerts, dashboards and runbooks into a directory"
        add_options(self._add("export", command.run_export, text, to=actions))

    def _add_simulate(self) -> None:
        parser = self._add("simulate", _simulate, "run a small TON network to break at will")
        parser.add_argument("--liteservers", type=int, metavar="N", help="default: 2")
        parser.add_argument("--providers", type=int, metavar="N", help="default: 1")
        parser.add_argument("--wallets", type=int, metavar="N", help="that pay; default: 0")
        parser.add_argument("--block-interval", type=float, metavar="SECONDS", help="default: 0.4")
        parser.add_argument(
            "--fault",
            action="append",
            default=[],
            metavar="TARGET=FAULT[:NUMBER]",
            help="break something from the start, such as node-1=lag:30; may be repeated",
        )
        parser.add_argument(
            "--scenario", metavar="NAME|FILE", help="network and faults, in place of the above"
        )
        parser.add_argument(
            "--list", action="store_true", help="list the scenarios that have a name, and end"
        )
        parser.add_argument(
            "--pace", type=_pace, default=1.0, help="how much faster the scenario is (default: 1)"
        )
        parser.add_argument(
            "--base-port",
            type=int,
            default=0,
            metavar="PORT",
            help="the targets' ports from here on, so that a saved configuration works next time"
            " too (default: free ones)",
        )
        parser.add_argument(
            "--control-port", type=_port, default=0, metavar="PORT", help="default: a free one"
        )


def _pace(text: str) -> float:
    """A factor by which time goes faster, for argparse."""
    pace = float(text)
    if not 0 < pace < math.inf:
        raise argparse.ArgumentTypeError("the pace must be a number above zero")
    return pace


def _port(text: str) -> int:
    """A port, 0 for any free one, for argparse."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number up to 65535")
    return port


def _run(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import logs
    from tonwatch.commands import run as daemon
    from tonwatch.runtime.state_dir import StateDirError
    from tonwatch.serve.listener import CannotListen

    config = parser.load_to_watch(options)
    logs.configure(config.log)
    daemon.spare_the_loop()

    async def until_stopped() -> None:
        stop = asyncio.Event()
        daemon.stop_on_signals(stop, config.readiness.drain_delay)
        await daemon.run(config, stop)

    try:
        asyncio.run(until_stopped())
    except (CannotListen, StateDirError) as error:
        print(f"tonwatch run: {error}", file=sys.stderr)
        return PROBLEM
    return OK


def _check(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import logs
    from tonwatch.commands.check import check

    config = parser.load_to_watch(options)
    # The table says all there is to say; only bugs of ours are logged.
    logs.configure(config.log.model_copy(update={"level": "error"}))
    return OK if asyncio.run(check(config, as_json=options.json)) else PROBLEM


def _config_check(options: argparse.Namespace, parser: Parser) -> int:
    config = parser.load_to_watch(options)
    print(
        f"ok: liteservers: {len(config.liteservers)}, providers: {len(config.providers)},"
        f" wallets: {len(config.wallets)}, contracts: {len(config.contracts)},"
        f" network: {config.network}"
    )
    return OK


def _config_show(options: argparse.Namespace, parser: Parser) -> int:
    import yaml

    shown = parser.load(options).model_dump(mode="json", exclude_none=True)
    print(yaml.safe_dump(shown, sort_keys=False), end="")
    return OK


def _config_schema(_: argparse.Namespace, __: Parser) -> int:
    import json

    from tonwatch.config.loader import schema
    from tonwatch.targets import registry

    print(json.dumps(schema(registry.sections()), indent=2))
    return OK


def _simulate(options: argparse.Namespace, _: Parser) -> int:
    from tonwatch.simulator.command import list_scenarios, run_simulator

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


def _scenario(options: argparse.Namespace) -> "Scenario":
    """The scenario that is named, or the one that the other options make."""
    from tonwatch.simulator.scenarios import scenario

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
            raise ValueError("--scenario says itself what the network is and what goes wrong")
        return scenario.load(options.scenario)
    faults: dict[str, str] = {}
    for assigned in options.fault:
        target, _, fault = assigned.partition("=")
        if target in faults:
            raise ValueError(f"--fault: {target} is given two faults; a target has one at a time")
        faults[target] = fault
    steps = [{"set": faults}] if faults else []
    content = {"name": "options", "network": given, "steps": steps}
    return scenario.parse(scenario.Scenario, content, "options")


def _demo(options: argparse.Namespace, _: Parser) -> int:
    from tonwatch.commands.demo import run_demo
    from tonwatch.serve.listener import CannotListen

    try:
        asyncio.run(run_demo(port=options.port, pace=options.pace, out=sys.stdout))
    except CannotListen as error:
        print(f"tonwatch demo: {error} (here: --port)", file=sys.stderr)
        return PROBLEM
    return OK


def _healthcheck(options: argparse.Namespace, parser: Parser) -> int:
    """Plain `http.client`: a container runtime starts this every few seconds."""
    import http.client

    from tonwatch.config import hosts

    serve = parser.load(options).serve
    if serve.port == 0:
        print(
            "tonwatch healthcheck: with serve.port 0 the daemon takes any free port, and nobody"
            " else knows which; choose one",
            file=sys.stderr,
        )
        return PROBLEM
    try:
        listening = hosts.listened_on(serve.host, serve.port)
    except OSError as error:
        place = f"serve.host {serve.host}"
        print(f"tonwatch healthcheck: {place}: {error.strerror}", file=sys.stderr)
        return PROBLEM
    troubles = []
    for _, name in listening:
        address, port = hosts.reached_at(name)
        connection = http.client.HTTPConnection(address, port, timeout=3)
        try:
            connection.request("GET", "/live")
            response = connection.getresponse()
            text = response.read(200).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            troubles.append(f"{hosts.authority(address, port)}: {error}")
            if isinstance(error, TimeoutError):
                break  # it would hang at its other addresses, too
            continue
        finally:
            connection.close()
        print(text)
        return OK if response.status == http.client.OK else PROBLEM
    print(f"tonwatch healthcheck: no answer from {'; '.join(troubles)}", file=sys.stderr)
    return PROBLEM
