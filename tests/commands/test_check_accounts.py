"""``tonwatch check`` on what only slow probes see: accounts, and the write path."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from tests.targets.toy import OpenToy, Toy, ToyKind, ToyServer
from tonwatch.commands import check
from tonwatch.config import loader
from tonwatch.config.models import Config
from tonwatch.runtime.runtime import running
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.targets.kind import OpenTarget, Regular
from tonwatch.targets.reasons import COMMON_REASONS
from tonwatch.targets.registry import KINDS, Kinds, sections
from tonwatch.ton.errors import Reason, TonError


class WithAccounts(ToyKind):
    """The toy, with accounts of which as many readings fail as the test says."""

    failing: ClassVar[int] = 0
    reasons: ClassVar[dict[Probe, tuple[Reason, ...]]] = dict.fromkeys(
        (Probe.HEAD, Probe.ACCOUNT), COMMON_REASONS
    )

    def open(self, section: Toy) -> OpenTarget:
        return _Open(section, self.services)


class _Open(OpenToy):
    def regular(self) -> Iterable[Regular]:
        yield from super().regular()
        yield Regular(Probe.ACCOUNT, self.account, lambda probe: probe.account_interval)

    async def account(self) -> Sample:
        with Recording(self._name, Probe.ACCOUNT, time.time) as probe:
            if WithAccounts.failing > 0:
                WithAccounts.failing -= 1
                raise TonError(Reason.SERVER_ERROR, "state not found")
        return probe.sample


KINDS_HERE: Kinds = (*KINDS, WithAccounts)


@pytest.fixture
async def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Config]:
    monkeypatch.setattr(check, "running", partial(running, kinds=KINDS_HERE))
    server = ToyServer()
    server.block["time"] = int(time.time())
    runner, url = await server.start()
    file = tmp_path / "tonwatch.yaml"
    file.write_text(f"providers: [{{name: theirs, kind: toy, url: '{url}'}}]")
    try:
        yield await asyncio.to_thread(loader.load, file, sections(KINDS_HERE))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("failing", "cause"),
    [
        pytest.param(0, "healthy", id="read"),
        pytest.param(1, "healthy", id="a single failure proves nothing"),
        pytest.param(2, "accounts_failing", id="confirmed"),
    ],
)
async def test_accounts_without_wallets(
    config: Config, monkeypatch: pytest.MonkeyPatch, failing: int, cause: str
) -> None:
    monkeypatch.setattr(WithAccounts, "failing", failing)
    out = io.StringIO()
    is_healthy = await check.check(config, as_json=True, out=out)
    document = json.loads(out.getvalue())
    assert document["diagnosis"]["cause"] == cause
    assert document["targets"][0]["probes"]["account"]
    assert is_healthy is (cause == "healthy")


async def test_the_impact_follows_the_sentence(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WithAccounts, "failing", 2)
    out = io.StringIO()
    await check.check(config, as_json=False, out=out)
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("accounts_failing: theirs reports new blocks, but accounts")
    assert last.endswith(" Balances and wallets' seqnos cannot be read from theirs.")
