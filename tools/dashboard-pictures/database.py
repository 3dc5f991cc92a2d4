"""Prometheus over past series: backfill, rules and queries.

Alerts and recorded series of the past are backfilled: every rule is queried over the whole range as
Prometheus would have evaluated it, in the order of their dependencies, and the results are stored.
"""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from history import SCRAPE
from pydantic import TypeAdapter

from tonwatch.config.durations import Duration

Series = list[dict[str, Any]]

Samples = dict[tuple[str, float], str]
"""Values by series, in text, and moment."""

_DURATION: Final[TypeAdapter[float]] = TypeAdapter(Duration)

_LOOKBACK: Final = "14900ms"
"""Lookback delta. Backfilled series have no staleness markers, so it is shorter than a scrape
interval."""


class Database:
    """A folder of blocks, and Prometheus over it inside ``with serving()``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._url = ""

    def add(self, samples: Path) -> None:
        """Add samples from a file in the text format of OpenMetrics."""
        command = ("promtool", "tsdb", "create-blocks-from", "openmetrics")
        subprocess.run((*command, samples, self.folder), check=True, stdout=subprocess.DEVNULL)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run Prometheus on what has been added so far."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            place = f"127.0.0.1:{free.getsockname()[1]}"
        config = self.folder.with_suffix(".yaml")
        config.write_text("{}")
        process = subprocess.Popen(
            (
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={self.folder}",
                "--storage.tsdb.retention.time=10y",
                f"--web.listen-address={place}",
                f"--query.lookback-delta={_LOOKBACK}",
                "--log.level=error",
            )
        )
        self._url = f"http://{place}"
        try:
            self._until_ready()
            yield
        finally:
            process.terminate()
            process.wait()

    def _until_ready(self) -> None:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self._url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError("Prometheus does not become ready")

    def range(self, expr: str, begin: float, end: float, step: float) -> Series:
        """A range query from `begin` to `end`, Unix seconds."""
        times = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return self._query("query_range", {"query": expr, **times})

    def instant(self, expr: str, now: float) -> Series:
        """An instant query at `now`, in the form of `range`."""
        result = self._query("query", {"query": expr, "time": f"{now:.3f}"})
        return [{"metric": each["metric"], "values": [each["value"]]} for each in result]

    def _query(self, endpoint: str, params: Mapping[str, str]) -> Series:
        body = urllib.parse.urlencode(params).encode()
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/{endpoint}", body) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{params['query']}: {error.read().decode()}") from None
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: Series = data["result"]
        return result


def evaluate(database: Database, files: Sequence[Path], begin: float, end: float) -> None:
    """Add the recorded series and alerts of the rules in `files`."""
    rules = [
        rule
        for file in files
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    for number, stage in enumerate(_stages(rules)):
        written: Samples = {}
        with database.serving():
            for rule in stage:
                found = database.range(rule["expr"], begin, end, SCRAPE)
                (_record if "record" in rule else _alert)(rule, found, written)
        if written:
            samples = database.folder.with_suffix(f".{number}.om")
            with samples.open("w") as file:
                for (series, moment), value in sorted(written.items()):
                    file.write(f"{series} {value} {moment:.3f}\n")
                file.write("# EOF\n")
            database.add(samples)


def _stages(left: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rules in groups, in the order of their dependencies."""
    while left:
        names = {rule.get("record") for rule in left}
        ready = [rule for rule in left if not names & _names(rule["expr"])]
        assert ready, "rules depend on each other in a cycle"
        # Some alerts depend on other alerts: they come after all other rules.
        stage = [rule for rule in ready if "ALERTS{" not in rule["expr"]] or ready
        yield stage
        left = [rule for rule in left if rule not in stage]


def _names(expr: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][\w:]*:[\w:]+", expr))


def _record(rule: Mapping[str, Any], found: Series, written: Samples) -> None:
    for series in found:
        labels = {**series["metric"], **rule.get("labels", {}), "__name__": rule["record"]}
        for moment, value in series["values"]:
            _write(written, labels, value, moment)


def _alert(rule: Mapping[str, Any], found: Series, written: Samples) -> None:
    wait = _DURATION.validate_python(rule.get("for", "0s"))
    for series in found:
        labels = {**series["metric"], **rule.get("labels", {}), "alertname": rule["alert"]}
        began = before = float("-inf")
        for moment, _ in series["values"]:
            began = began if moment - before <= SCRAPE else moment
            before = moment
            state = "firing" if moment - began >= wait else "pending"
            _write(written, {**labels, "__name__": "ALERTS", "alertstate": state}, "1", moment)
            _write(written, {**labels, "__name__": "ALERTS_FOR_STATE"}, f"{began:.3f}", moment)


def _write(written: Samples, labels: Mapping[str, str], value: str, moment: float) -> None:
    # Two rules of one alert may produce the same series: keep the first.
    name = labels["__name__"]
    text = ",".join(
        f'{key}="{label}"' for key, label in sorted(labels.items()) if key != "__name__"
    )
    written.setdefault((f"{name}{{{text}}}", moment), value)
