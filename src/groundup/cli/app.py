"""The command line's application, and what its commands share."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

app = App(
    name="groundup",
    help="Train language models from the ground up on your own documents, and see what they learn.",
    version_flags=["--version"],
)
app["--help"].group = app["--version"].group = "Options"

Paths = Annotated[list[str], Parameter(negative=(), consume_multiple=True, allow_leading_hyphen=False)]
Sets = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        negative=(),
        help="A setting, `section.key=value`; repeatable. docs/configuration.md lists them.",
    ),
]
Budget = Annotated[float | None, Parameter(help="Wall clock of the whole command, in minutes.")]
StopAfter = Annotated[
    str | None,
    Parameter(
        help="Save and end, with exit code 75, within so long: 3h, 1h30m, 45m, 90s. `groundup resume` continues."
    ),
]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print the result as JSON.")]
Size = Annotated[str | None, Parameter(help="The dial: tiny, small, medium or large; everything else follows.")]
Arch = Annotated[str | None, Parameter(help="qwen3 (default) or llama (the same without query and key norms).")]
Deterministic = Annotated[
    bool | None,
    Parameter(
        help="Only kernels that give the same bytes every time. Planned: yes, but no on CUDA, where they are slower."
    ),
]


def settings(
    assignments: list[str] | None, arch: str | None = None, deterministic: bool | None = None
) -> dict[str, Any]:
    """What `--set`, `--arch` and `--deterministic` ask for, as the verbs take it."""
    from groundup.config import parse_settings

    named = {"model.arch": arch or None, "device.deterministic": deterministic}
    return {**parse_settings(assignments or []), **{key: value for key, value in named.items() if value is not None}}


def show_run(path: Path, info: dict[str, Any], json_: bool) -> None:
    """Print a run's summary, or its run.json; of several processes only the first does."""
    from groundup.cores import process_of_run
    from groundup.reporting import summarize

    if process_of_run()[0] == 0:
        print(as_json(info | {"run": str(path)}) if json_ else summarize(path))


def as_json(value: Any, indent: int | None = 1) -> str:
    """`value` as JSON for standard output."""
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)
