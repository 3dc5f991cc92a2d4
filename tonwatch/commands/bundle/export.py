"""``tonwatch bundle export``: the alerts, dashboards and runbooks that come with tonwatch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from tonwatch.commands.bundle import text as texts
from tonwatch.commands.bundle.options import Part, Selection

_PACKAGE: Final = Path(__file__).parents[2]


class BundleError(Exception):
    """Nothing was exported; the text says why."""


def export(selected: Selection, directory: Path, *, force: bool, out: TextIO) -> None:
    """Write files below a directory and print them; identical files are not touched.

    Args:
        selected: what to write.
        directory: made where it is missing.
        force: whether files with other content are replaced.
        out: gets a line for each file.

    Raises:
        BundleError: a part is missing, a file would be replaced, or the directory cannot be
            written to.
    """
    files = {directory / path: text for path, text in _files(selected)}
    try:
        present = {path: path.read_bytes() for path in files if path.exists()}
        other = [path for path, content in present.items() if content != files[path].encode()]
        if other and not force:
            names = "\n".join(f"  {path}" for path in other)
            raise BundleError(
                f"these files have another content, so nothing was written:\n{names}\n"
                "Check them, then replace them with --force, or name another directory."
            )
        for path, text in files.items():
            if path in present and path not in other:
                print(f"unchanged  {path}", file=out)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote      {path}", file=out)
    except OSError as error:
        place = error.filename or directory
        raise BundleError(
            f"cannot write {place}: {error.strerror or error};"
            " name a directory that can be written to"
        ) from error


def shipped(folder: str) -> Path:
    """The folder `alerts`, `dashboards` or `runbooks`: in the package, or in the source tree.

    Raises:
        BundleError: it is in neither.
    """
    if (_PACKAGE / "shipped" / folder).is_dir():
        return _PACKAGE / "shipped" / folder
    tree = _PACKAGE.parent
    place = tree / ("docs/runbooks" if folder == "runbooks" else folder)
    if (tree / "pyproject.toml").is_file() and place.is_dir():
        return place
    raise BundleError(f"this tonwatch was installed without its {folder}")


def _files(selected: Selection) -> Iterator[tuple[str, str]]:
    """The path of each file below the directory, and its text."""
    names, parts = selected.names, selected.parts
    rules = {file: texts.in_rules(text, names) for file, text in _rules().items()}
    if Part.RULES in parts:
        for file, text in rules.items():
            yield f"rules/{file}", text
    if Part.PROMETHEUSRULE in parts:
        yield (
            "prometheusrule.yaml",
            texts.prometheus_rule(
                rules,
                name=selected.name,
                namespace=selected.namespace,
                labels=selected.object_labels,
            ),
        )
    if Part.ALERTMANAGER in parts:
        for file, text in _texts("alerts", "alertmanager.yaml").items():
            yield file, texts.in_alertmanager(text, names)
    if Part.DASHBOARDS in parts:
        for file, text in _texts("dashboards", "*.json").items():
            yield f"dashboards/{file}", texts.in_dashboard(text, names)
    if Part.RUNBOOKS in parts:
        for file, text in _texts("runbooks", "*.md").items():
            yield f"runbooks/{file}", texts.in_runbook(text, names)


def _rules() -> dict[str, str]:
    texts = _texts("alerts", "*.yaml")
    return {file: text for file, text in texts.items() if file != "alertmanager.yaml"}


def _texts(folder: str, pattern: str) -> dict[str, str]:
    files = sorted(shipped(folder).glob(pattern))
    if not files:
        raise BundleError(f"this tonwatch was installed without its {folder} ({pattern})")
    return {file.name: file.read_text(encoding="utf-8") for file in files}
