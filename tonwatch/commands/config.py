"""``tonwatch config``: check and print the configuration."""

import argparse
import json

import yaml

from tonwatch.commands.options import OK, Loading
from tonwatch.config.loader import schema as json_schema
from tonwatch.targets import registry


def check(options: argparse.Namespace, loading: Loading) -> int:
    """``tonwatch config check``: check whether the configuration can be used."""
    config = loading.load_to_watch(options)
    print(
        f"ok: liteservers: {len(config.liteservers)}, providers: {len(config.providers)},"
        f" wallets: {len(config.wallets)}, contracts: {len(config.contracts)},"
        f" network: {config.network}"
    )
    return OK


def show(options: argparse.Namespace, loading: Loading) -> int:
    """``tonwatch config show``: print all of it, defaults included."""
    shown = loading.load(options).model_dump(mode="json", exclude_none=True)
    print(yaml.safe_dump(shown, sort_keys=False), end="")
    return OK


def schema(_: argparse.Namespace, __: Loading) -> int:
    """``tonwatch config schema``: print its JSON Schema."""
    print(json.dumps(json_schema(registry.sections()), indent=2))
    return OK
