"""Generates docs/metrics.md from the catalogue."""

from collections.abc import Iterable
from typing import Final

from tonwatch.serve.metrics import catalogue
from tonwatch.serve.metrics.collector import ERRORS, ERRORS_HELP
from tonwatch.serve.metrics.wallets import ACCOUNT_STATUSES, NO_CODE, OTHER
from tonwatch.serve.traffic import Refusal
from tonwatch.system.internal_errors import Component
from tonwatch.targets.registry import Kinds
from tonwatch.ton.contracts.transactions import SKIPPED
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State

_INTRODUCTION: Final = """\
# Metrics

<!-- Generated: python -m tonwatch.serve.metrics > docs/metrics.md -->

`/metrics` serves Prometheus' text format and OpenMetrics, whichever `Accept` prefers. Units are
base units; points in time are Unix time in seconds, so that age is `time() - metric`.

- A value that is not known, or older than `probe.stale_after`, is **absent**: the last one is
  never shown in its place. Where tonwatch itself hangs, only what stays true is left: counters,
  histograms, thresholds and minimums, what a target is, and the timestamps of tonwatch's start, of
  its last evaluation, of a target's last answer, and of what payouts were counted.
- `target`, `wallet`, `asset` and `contract` are configured names. No metric carries an address, a
  URL or a key.
- What alert rules select is there from the first scrape: counters start at 0. Some counters appear
  with their first event, and say so, because what never happens should cost no series. `rate` and
  `increase` miss that first event; the dashboards count it with
  `metric - (metric offset 5m <= metric or 0 * metric)`. Counters of payouts are there once counting
  has begun, and go on across restarts.
- Two liteservers, a provider and two wallets make about 330 series; 1,000 wallets of two assets
  about 24,000.
- Names that end in `_amount_total`, and balances, are amounts in units of their asset, as floats;
  the exact ones are in `/health`. All other counters count what their names say.
- State sets have a series at 1 for the value that holds. `tonwatch_target_state` and
  `tonwatch_readiness` have one at 0 for every other value; `tonwatch_wallet_status` and
  `tonwatch_contract_status` for those that alert rules select.
- `process_*` (CPU, memory, file descriptors, start time) are of tonwatch's own process.
"""


_VALUES: Final = f"""\
- `phase` of a probe, such as `resolve`, `connect`, `handshake`, `ping`, `query`; one that was not
  needed or not reached is absent
- `asset`: `native` for the network's coin, or the configured name of a jetton or an extra currency
- `transaction_phase`: `compute`, `action`
- `exit_code`: the exit code of that phase; `{OTHER}` for all further ones where too many different
  ones have occurred
- `threshold`: as in the configuration
- `outcome` of a probe: `ok`, `failed`
- `probe`: `head`, `connect`, `account`, `fork`; where wallets or contracts are configured
  `balance`, with wallets `compare`, and with `write_probe` `write`"""


def documentation(kinds: Kinds) -> str:
    """docs/metrics.md.

    Args:
        kinds: of targets, with the reasons that their probes can have.
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
        "- `target`, `wallet`, `contract`: configured names",
        f"- `kind` of a target: {_words(kind.name for kind in kinds)}",
        "- `role` of a target: `primary`, `reference`",
        "- `local`, whether a target is on this machine: `true`, `false`",
        "- `version` of tonwatch",
        "- `protocol_version` of a liteserver, such as `1.1`",
        f"- `state` of a target: {_words(State)}",
        f"- `status`, of the account of a wallet or contract: {_words(ACCOUNT_STATUSES)}",
        f"- `cause`, in the order of blame: {_words(Cause)}",
        f"- `readiness`: {_words(Phase)}",
        f"- `wallet_version`: {_words(WalletKind)}, every other code; `{NO_CODE}` without code",
        "- `proven`: `true`, `false`",
        f"- `skip_reason`, why a compute phase was skipped: {_words(SKIPPED)}",
        f"- `component` of tonwatch: {_words(Component)}",
        f"- `refusal` of a connection: {_words(Refusal)}",
        _VALUES,
    ]
    lines += [
        f"- `reason` of probe `{probe}` on targets of kind `{kind.name}`:"
        f" {_words(reason for reason in reasons if reason is not Reason.OK)}"
        for kind in kinds
        for probe, reasons in kind.reasons.items()
    ]
    return "\n".join(lines) + "\n"


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
