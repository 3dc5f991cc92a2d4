"""The layers of the package are what `pyproject.toml` says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_go_down_the_layers_only() -> None:
    program = "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout
