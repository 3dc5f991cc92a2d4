"""The Dockerfile, as far as it can be judged without building it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tonwatch.config.models import Serve

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FINAL_STAGE = TEXT.rpartition("\nFROM ")[2]


def instruction(name: str) -> str:
    [value] = re.findall(rf"^{name} ((?:.*\\\n)*.*)$", FINAL_STAGE, re.MULTILINE)
    return str(value)


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is in the development lock: run the tests with make test"
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, check=False)
    assert (found.stdout, found.stderr, found.returncode) == (b"", b"", 0)


def test_it_runs_as_a_numbered_user_that_is_not_root() -> None:
    """A name would not do: the kubelet cannot tell whether a name is root."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction("USER"))


def test_tonwatch_is_process_1_without_a_shell() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["tonwatch"]
    assert json.loads(instruction("CMD")) == ["run"]
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_its_healthcheck_is_tonwatch_healthcheck() -> None:
    assert instruction("HEALTHCHECK").endswith('CMD ["tonwatch", "healthcheck"]')


def test_it_exposes_the_default_port() -> None:
    assert instruction("EXPOSE") == str(Serve().port)


def test_the_context_has_what_is_copied_and_nothing_more() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    allowed = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    copied = {
        source.rstrip("/")
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
        for source in sources.split()
    }
    assert {path.split("/")[0] for path in allowed} == copied
    assert all((ROOT / path).exists() for path in allowed)
