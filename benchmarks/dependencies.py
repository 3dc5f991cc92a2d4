"""What importing each dependency costs, in an interpreter of its own: seconds, memory, packages."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.report import Goal, table

_STARTS: Final = 11
_MIB: Final = 1 << 20

_CORE: Final = ("pytoniq_core", "pytoniq_core.crypto.ciphers", "pytoniq_core.tl.generator")
_RUN: Final = ("tonwatch.cli", "tonwatch.commands.run")
_DAEMON: Final = "tonwatch run"
_CHECK: Final = "pytoniq, after tonwatch run"

_CASES: Final[Sequence[tuple[str, Sequence[str], Sequence[str]]]] = (
    ("aiohttp", (), ("aiohttp",)),
    ("pytoniq-core", (), _CORE),
    ("pytoniq", (), ("pytoniq",)),
    ("requests", (), ("requests",)),
    ("pytoniq-core, after aiohttp", ("aiohttp",), _CORE),
    ("tenacity, after aiohttp", ("aiohttp",), ("tenacity",)),
    ("publicsuffixlist, after aiohttp", ("aiohttp",), ("publicsuffixlist",)),
    (_DAEMON, (), _RUN),
    (_CHECK, _RUN, ("pytoniq",)),
)
"""What is measured: its name, what was imported before, and what is imported."""

_SECOND_CLIENT: Final = frozenset(
    {"pytoniq", "requests", "urllib3", "certifi", "charset-normalizer", "setuptools"}
)
"""Distributions that the daemon must not import."""

_SCRIPT: Final = """
import sys
at_start = set(sys.modules)
import importlib, json, resource, time
before, modules = json.loads(sys.argv[1])

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

for name in before:
    importlib.import_module(name)
memory, began = resident(), time.perf_counter()
for name in modules:
    importlib.import_module(name)
seconds = time.perf_counter() - began
packages = sorted({name.partition(".")[0] for name in set(sys.modules) - at_start})
print(json.dumps([seconds, resident() - memory, packages]))
"""


@dataclass(frozen=True, slots=True)
class _Import:
    """One import in a new interpreter.

    Attributes:
        seconds: that it took, with all files in the page cache.
        memory: resident bytes that it added.
        packages: top-level packages that are loaded then, without those of every interpreter.
    """

    seconds: float
    memory: int
    packages: frozenset[str]


def _import(before: Sequence[str], modules: Sequence[str]) -> _Import:
    arguments = json.dumps([before, modules])
    output = subprocess.run(
        [sys.executable, "-c", _SCRIPT, arguments], capture_output=True, check=True
    ).stdout
    seconds, memory, packages = json.loads(output)
    return _Import(seconds, memory, frozenset(packages))


def _distributions(packages: frozenset[str]) -> set[str]:
    """The distributions that packages belong to."""
    known = packages_distributions()
    names = chain.from_iterable(known.get(package, ()) for package in packages)
    return {name.lower().replace("_", "-") for name in names}


def _size(name: str) -> int:
    """Bytes of a distribution's files, those that Python compiled left out."""
    files = distribution(name).files or ()
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def measure() -> tuple[str, list[Goal]]:
    """Import each several times, in turn; returns the tables and the goals."""
    runs: dict[str, list[_Import]] = {name: [] for name, _, _ in _CASES}
    for _ in range(_STARTS):
        for name, before, modules in _CASES:
            runs[name].append(_import(before, modules))
    rows = [["import", "median", "worst", "resident memory"]]
    for name, results in runs.items():
        seconds = [result.seconds * 1000 for result in results]
        memory = median(result.memory for result in results) / _MIB
        worst = f"{max(seconds):.0f} ms"
        rows.append([name, f"{median(seconds):.0f} ms", worst, f"{memory:.1f} MiB"])
    daemon = _distributions(runs[_DAEMON][-1].packages)
    second = _distributions(runs[_CHECK][-1].packages)
    needed = [*_SECOND_CLIENT, "pytoniq-core", "bitarray", "pycryptodomex", "pynacl", "x25519"]
    places = [["distribution", "on disk", "in the daemon", "with pytoniq"]]
    for name in sorted({*needed, "idna", "cffi"}):
        size = f"{_size(name) / _MIB:.1f} MiB"
        places.append([name, size, _yes(name in daemon), _yes(name in second)])
    text = (
        f"Imports, each in a new interpreter, {_STARTS} times in turn; and what pytoniq and"
        " pytoniq-core need, with\nwhere it is imported.\n"
        f"{table(rows)}\n\n{table(places)}"
    )
    found = daemon & _SECOND_CLIENT
    measured = ", ".join(sorted(found)) or "nothing"
    return text, [Goal("the daemon imports only for pytoniq", "nothing", measured, not found)]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
