"""/metrics: all families, read off one View at each scrape.

`python -m tonwatch.serve.metrics` writes docs/metrics.md to stdout.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tonwatch.serve import catalogue
from tonwatch.serve.exposition import FamilyWriter, Names, format_for, head, names_of
from tonwatch.serve.reading import Group, Metric
from tonwatch.serve.scene import Scene
from tonwatch.serve.traffic import Refusal
from tonwatch.serve.wallet_metrics import ACCOUNT_STATES, OTHER
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.targets.registry import KINDS, Kinds
from tonwatch.ton.contracts.transactions import SKIPPED
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State

ERRORS: Final = "tonwatch_internal_errors_total"
ERRORS_HELP: Final = (
    "Failures of tonwatch itself, by the component that failed: bugs, which its log names."
)


@dataclass(slots=True)
class _Kept:
    """What was written of one source. In tuples, which the garbage collector need not search.

    Attributes:
        names: the values of the group's labels.
        told: what was read for each family.
        lines: what was made of that: none, one or more for each family.
        token: what it follows from; None where it has to be read again.
    """

    names: Names
    told: tuple[Any, ...]
    lines: tuple[bytes, ...]
    token: object = None


@dataclass(slots=True)
class _Shelf:
    """What was written of one group, by the values of its labels."""

    writers: list[FamilyWriter] = field(default_factory=list)
    kept: dict[tuple[str, ...], _Kept] = field(default_factory=dict)


class Exposition:
    """Writes the catalogue's metrics, and `process_*` of tonwatch's own process.

    What has not changed since the last scrape is not written again: of thousands of wallets
    few have paid. A value that cannot be read costs that value alone, and what cannot be listed
    costs its group.

    Args:
        scene: what values are read off, called for each scrape.
        errors: what they cannot be read for is counted here; shown with all else that it counts.
    """

    def __init__(self, scene: Callable[[], Scene], errors: InternalErrors) -> None:
        self._scene = scene
        self._errors = errors
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    @property
    def busy(self) -> bool:
        """Whether a thread is at it."""
        return self._lock.locked()

    def write(self, accept: str) -> tuple[list[bytes], str]:
        """The metrics family by family, in the format that `accept` prefers; its content type.

        May be called from any thread.
        """
        content_type, openmetrics = format_for(accept)
        with self._lock:
            families: list[bytes] = []
            with self._errors.guard(Component.METRICS, "scene"):
                scene = self._scene()
                for group in catalogue.GROUPS:
                    with self._errors.guard(Component.METRICS, group.title):
                        families += list(self._families(group, scene, openmetrics=openmetrics))
            process = b"# EOF\n" if openmetrics else b""
            with self._errors.guard(Component.METRICS, "process"):
                process = (generate_openmetrics if openmetrics else generate_latest)(self._process)
        families.append(head(ERRORS, "counter", ERRORS_HELP, "", openmetrics=openmetrics))
        families += [
            f'{ERRORS}{{component="{component}"}} {float(count)}\n'.encode()
            for component, count in self._errors.counts().items()
        ]
        families.append(process)
        return families, content_type

    def warm(self) -> None:
        """Write what has changed of groups that keep what they write: the next scrape need not.

        May be called from any thread.
        """
        with self._lock:
            scene = self._scene()
            for group in catalogue.GROUPS:
                if group.token is not None:
                    with self._errors.guard(Component.METRICS, group.title):
                        self._rows(group, self._shelf(group, scene), scene)

    def _families(self, group: Group[Any], scene: Scene, *, openmetrics: bool) -> Iterator[bytes]:
        """The families of a group, where there is anything that they could be of."""
        shelf = self._shelf(group, scene)
        rows = self._rows(group, shelf, scene)
        for writer, lines in zip(shelf.writers, zip(*rows, strict=True), strict=bool(rows)):
            yield writer.heads(openmetrics=openmetrics)
            yield b"".join(lines)

    def _shelf(self, group: Group[Any], scene: Scene) -> _Shelf:
        """What is kept of a group; nothing where other metrics of it are shown than before."""
        shelf = self._shelves.setdefault(group.title, _Shelf())
        shown = [metric for metric in group.metrics if _shown(metric, scene)]
        if [writer.metric for writer in shelf.writers] != shown:
            shelf.writers = [FamilyWriter(metric, group.labels) for metric in shown]
            shelf.kept = {}
        return shelf

    def _rows(self, group: Group[Any], shelf: _Shelf, scene: Scene) -> list[tuple[bytes, ...]]:
        """For each source a line or more of each family."""
        before, shelf.kept = shelf.kept, {}
        rows = []
        failed: set[str] = set()
        for names, source in group.sources(scene):
            kept = before.get(names)
            if kept is None:
                families = len(shelf.writers)
                made = names_of(group.labels, names)
                kept = _Kept(made, (None,) * families, (b"",) * families)
            token = group.token(source) if group.token is not None else None
            if token is None or token is not kept.token:
                left_out = self._read(shelf.writers, kept, names, source)
                kept.token = None if left_out else token
                failed |= left_out
            shelf.kept[names] = kept
            rows.append(kept.lines)
        for writer in shelf.writers:
            if writer.metric.name not in failed:
                self._errors.worked(Component.METRICS, writer.metric.name)
        return rows

    def _read(
        self, writers: list[FamilyWriter], kept: _Kept, names: tuple[str, ...], source: Any
    ) -> set[str]:
        """Read one source and write what is new; returns the metrics that could not be read."""
        failed: set[str] = set()
        everything: list[Any] = []
        written: list[bytes] = []
        for writer, before, lines in zip(writers, kept.told, kept.lines, strict=True):
            try:
                told = writer.read(source)
                if writer.labelled:
                    told = tuple(told)
                written.append(lines if told == before else writer.write(kept.names, told))
            except Exception as error:  # noqa: BLE001 - must not take the other values with it
                written.append(b"")
                everything.append(None)
                about = " ".join(names)
                self._errors.failed(Component.METRICS, writer.metric.name, error, of=about)
                failed.add(writer.metric.name)
            else:
                everything.append(told)
        kept.told, kept.lines = tuple(everything), tuple(written)
        return failed


def _shown(metric: Metric[Any], scene: Scene) -> bool:
    return scene.alive or metric.lasting or metric.type in {"counter", "histogram"}


_INTRODUCTION: Final = """\
# Metrics

<!-- Generated: python -m tonwatch.serve.metrics > docs/metrics.md -->

`/metrics` speaks Prometheus' text format and OpenMetrics, whichever `Accept` prefers. Units are
base units; points in time are Unix time in seconds, so that age is `time() - metric`.

- A value that is not known, or older than `probe.stale_after`, is **absent**: the last one is
  never shown in its place. Where tonwatch itself hangs, only what stays true is left: counters,
  histograms, thresholds and minimums, what a target is, and the timestamps of tonwatch's start, of
  its last judgement, of a target's last answer, and of what payouts were counted.
- `target`, `wallet`, `asset` and `contract` are configured names. No metric carries an address, a
  URL or a key.
- Every counter starts at 0, also for reasons that have not occurred yet; only exit codes, of which
  there are too many, appear when they do. Counters of payouts are there once counting has begun,
  and go on across restarts.
- Amounts are in whole coins of their asset, as floats; the exact ones are in `/health`.
- State sets (`tonwatch_target_state`, `tonwatch_wallet_state`, `tonwatch_contract_state`,
  `tonwatch_diagnosis`, `tonwatch_readiness`) have one series for each possible value: 1 for the one
  that holds, 0 for the others.
- `process_*` (CPU, memory, file descriptors, start time) are of tonwatch's own process.
"""


_VALUES: Final = f"""\
- `phase` of `tonwatch_probe_phase_seconds`: the steps of a probe, such as `resolve`, `connect`,
  `handshake`, `ping`, `query`; a step not needed or not reached is absent
- `asset`: `native` for the network's own coin, or the configured name of a jetton
- `phase` of `tonwatch_wallet_failures_total`: `compute`, `action`
- `exit_code`: the exit code of that phase; `{OTHER}` for all further ones where too many different
  ones have occurred
- `threshold`: as in the configuration
- `probe`: `head`, `connect`, `fork`; where wallets or contracts are configured `balance`, with
  wallets `compare`, and with `write_probe` `write`"""


def documentation(kinds: Kinds) -> str:
    """docs/metrics.md.

    Args:
        kinds: of targets, whose probes can end in so many ways.
    """
    lines = [_INTRODUCTION]
    for group in catalogue.GROUPS:
        lines.append(f"## {group.title}\n")
        lines += ["| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
        for metric in group.metrics:
            labels = ", ".join(f"`{label}`" for label in (*group.labels, *metric.labels))
            lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
        if group is catalogue.ITSELF:
            lines.append(f"| `{ERRORS}` | counter | `component` | {ERRORS_HELP} |")
        lines.append("")
    lines += [
        "## Values of labels\n",
        f"- `state` of `tonwatch_target_state`: {_words(State)}",
        f"- `state` of wallets and contracts: {_words(ACCOUNT_STATES)}",
        f"- `cause`, in the order of blame: {_words(Cause)}",
        f"- `phase` of `tonwatch_readiness`: {_words(Phase)}",
        f"- `kind` of `tonwatch_wallet_kind_info`: {_words(WalletKind)}",
        f"- `reason` of `tonwatch_wallet_skipped_total`: {_words(SKIPPED)}",
        f"- `component` of `{ERRORS}`: {_words(Component)}",
        f"- `reason` of `tonwatch_http_connections_refused_total`: {_words(Refusal)}",
        _VALUES,
    ]
    lines += [
        f"- `reason` of probe `{probe}` on targets of kind `{kind.name}`: {_words(reasons)}"
        for kind in kinds
        for probe, reasons in kind.reasons.items()
    ]
    return "\n".join(lines) + "\n"


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.stdout.write(documentation(KINDS))
