"""The command line. Each command imports what it needs when it runs, so that all start fast."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tonwatch.commands.options import USAGE, NothingToWatch, pace, port

if TYPE_CHECKING:
    from tonwatch.config.models import Config


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
    except NothingToWatch as error:
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
        self._add("run", _run, "watch and serve until stopped", settings)
        check = self._add("check", _check, "run every probe once; exit 1 on a problem", settings)
        check.add_argument("--json", action="store_true", help="print the /health document")
        check.add_argument(
            "--cross-check",
            action="store_true",
            help="ask each liteserver once more with pytoniq's own client; exit 1 if both disagree",
        )
        self._add_config(settings)
        self._add_bundle()
        self._add_simulate()
        demo = self._add("demo", _demo, "watch a simulated network that has incidents")
        demo.add_argument("--port", type=port, default=9717, help="where to serve (default: 9717)")
        demo.add_argument(
            "--pace", type=pace, default=1.0, help="how much faster incidents follow (default: 1)"
        )
        self._add(
            "healthcheck", _healthcheck, "query /live of the daemon on this machine", settings
        )

    def parse_args(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        return self._root.parse_args(arguments)

    def load(self, options: argparse.Namespace) -> "Config":
        """The configuration of options, environment and file together."""
        from tonwatch.config.loader import load, read_flags
        from tonwatch.targets import registry

        path = Path(options.config) if options.config else None
        return load(path, registry.sections(), read_flags(self.source, options))

    def load_to_watch(self, options: argparse.Namespace) -> "Config":
        """The configuration, for a command that needs targets.

        Raises:
            NothingToWatch: it has no target.
        """
        config = self.load(options)
        if not config.liteservers and not config.providers:
            raise NothingToWatch(options.config)
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
        parser = self._commands.add_parser("config", help="check and print the configuration")
        actions = parser.add_subparsers(required=True, metavar="ACTION")
        self._add("check", _config_check, "check whether it can be used", settings, to=actions)
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
        parser = self._add("simulate", _simulate, "run a small simulated TON network with faults")
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
            "--pace", type=pace, default=1.0, help="how much faster the scenario is (default: 1)"
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
            "--control-port", type=port, default=0, metavar="PORT", help="default: a free one"
        )


def _run(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import run

    return run.command(options, parser)


def _check(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import check

    return check.command(options, parser)


def _config_check(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import config

    return config.check(options, parser)


def _config_show(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import config

    return config.show(options, parser)


def _config_schema(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import config

    return config.schema(options, parser)


def _simulate(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import simulate

    return simulate.command(options, parser)


def _demo(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import demo

    return demo.command(options, parser)


def _healthcheck(options: argparse.Namespace, parser: Parser) -> int:
    from tonwatch.commands import healthcheck

    return healthcheck.command(options, parser)
