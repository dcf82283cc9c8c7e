"""Writes the reference pages from the code, so that they never drift from it: configuration, command line, Python API,
metrics files."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from groundup.config import describe

SOURCE = Path(__file__).resolve().parents[1] / "src" / "groundup"

CONFIGURATION = """# Configuration

Every setting, generated from the dataclasses in `src/groundup/config` by `make docs`. Give them in a TOML file
(`--config FILE`; a run's own `config.toml` is one) or one by one (`--set section.key=value`), which wins over the file.
*Planned* values come from the corpus, the machine and the budget; `groundup plan PATH` prints each with its reason,
and `config.toml` keeps who decided it as a comment.
"""

COMMANDS = """# Command line

Every command with its arguments and options, generated from `src/groundup/cli` by `make docs`;
`groundup COMMAND --help` says the same. Exit codes: 0 done; 2 the input is at fault (what, where, what to do);
75 stopped by a signal after saving, `groundup resume` continues; 1 our fault.
"""

API = """# Python API

Every verb of the command line is a function of the package; this page is generated from their docstrings by
`make docs`. They are imported on first use: `import groundup` costs nothing. A fault in what you gave raises
`groundup.errors.UserError` (with `what`, `where` and `fix`), a stop by a signal `groundup.errors.Stopped`, after
saving.
"""

METRICS = """# Metrics files

The fields of the files that grow while a run trains, generated from the code that writes them by `make docs`.
[The run directory](run-directory.md) says what else is there, and what the lines of `metrics.jsonl` with a key `event`
mean. Losses are in nats per token.
"""

MEANINGS = {
    "step": "Optimizer steps made before this entry.",
    "epoch": "Pass over the training text that the last sequence belongs to, from 0.",
    "train_loss": "Mean over all microbatches since the entry before; at step 0, of the untrained model on the first.",
    "train_perplexity": "e to the training loss.",
    "train_accuracy": "Share of training targets that were the likeliest token.",
    "train_bits_per_byte": "Training loss in bits for each byte of its text.",
    "val_loss": "On the held-out text; null where nothing was evaluated at this step.",
    "val_perplexity": "e to the validation loss.",
    "val_accuracy": "Share of held-out targets that were the likeliest token.",
    "val_bits_per_byte": "Validation loss in bits for each byte: comparable between tokenizers.",
    "learning_rate": "Of the update that led here; at step 0, of the first one. The peak rate times the schedule.",
    "grad_norm": "Norm of all gradients of the last update, before clipping; null at step 0.",
    "clipped": "Share of updates since the entry before with a gradient longer than `optimizer.clip`; null at step 0.",
    "tokens": "Training tokens so far.",
}
"""What an entry of metrics.jsonl holds; a field without a line here is an error."""

RETURNED = (
    ("groundup.runs", "Run"),
    ("groundup.inference", "SamplingSettings"),
    ("groundup.inference", "Generation"),
)
"""Classes that the verbs take or return."""


def configuration() -> str:
    """docs/configuration.md."""
    lines, section = [CONFIGURATION], None
    for key, kind, default, meaning in describe():
        here = key.rpartition(".")[0] or "(top level)"
        if here != section:
            lines.append(f"\n## {here}\n\n| setting | type | default | meaning |\n|---|---|---|---|")
            section = here
        lines.append(f"| `{key}` | {_cell(kind)} | {default} | {' '.join(meaning.split())} |")
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """docs/cli.md."""
    for module in sorted((SOURCE / "cli").glob("*.py")):
        if module.stem not in ("__init__", "main", "started"):
            import_module(f"groundup.cli.{module.stem}")
    from groundup.cli.app import app

    return "\n".join([COMMANDS, *_commands(app, "groundup")]) + "\n"


def _commands(app: Any, path: str) -> Iterator[str]:
    for name in sorted(name for name in app if not name.startswith("-")):
        command = app[name]
        called = f"{path} {name}"
        function = command.default_command
        yield f"\n## {called}\n\n{_first_part(inspect.getdoc(function) if function else command.help)}\n"
        if function:
            rows = [
                _argument(argument)
                for argument in command.assemble_argument_collection(parse_docstring=True)
                if argument.show
            ]
            yield "| argument | default | meaning |\n|---|---|---|"
            yield from rows
        yield from _commands(command, called)


def _argument(argument: Any) -> str:
    positional = argument.field_info.kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    )
    names = [name.removeprefix("--").upper() if positional else name for name in argument.names[:1]]
    names += [] if positional else list(argument.names[1:])
    default = argument.field_info.default
    if argument.required:
        shown = "required"
    elif default in (None, inspect.Parameter.empty, (), ""):
        shown = ""
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    meaning = " ".join((argument.parameter.help or "").split())
    return f"| {', '.join(f'`{name}`' for name in names)} | {shown} | {_cell(meaning)} |"


def _first_part(text: str | None) -> str:
    """A docstring up to its table of parameters."""
    return (text or "").partition("Parameters\n----")[0].strip()


def python_api() -> str:
    """docs/python-api.md."""
    import groundup

    lines = [API]
    for name in groundup.__all__:
        function = getattr(groundup, name)
        lines.append(f"\n## groundup.{name}\n\n```python\n{_signature(function)}\n```\n\n{_prose(function)}")
    lines.append("\n## What they take and return")
    for module, name in RETURNED:
        lines.append(f"\n### {module}.{name}\n\n{_prose(getattr(import_module(module), name))}\n")
        lines.extend(_members(getattr(import_module(module), name)))
    return "\n".join(lines) + "\n"


def _signature(function: Callable[..., Any]) -> str:
    """The head of a function as its source has it, one parameter a line where it is long."""
    node = _parsed(function)
    assert isinstance(node, ast.FunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    short = f"groundup.{node.name}({ast.unparse(node.args)}){returns}"
    if len(short) <= 100:
        return short
    arguments = ",\n    ".join(_parameters(node.args))
    return f"groundup.{node.name}(\n    {arguments},\n){returns}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    """Each parameter, and the star that keyword-only ones follow."""

    def shown(argument: ast.arg, default: ast.expr | None) -> str:
        kind = argument.annotation
        written = str(kind.value) if isinstance(kind, ast.Constant) else ast.unparse(kind) if kind else ""
        return argument.arg + (f": {written}" if written else "") + (f" = {ast.unparse(default)}" if default else "")

    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    for argument, default in zip(arguments.args, [*missing, *arguments.defaults], strict=True):
        yield shown(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield shown(argument, default)
    if arguments.kwarg:
        yield f"**{shown(arguments.kwarg, None)}"


def _members(cls: type) -> Iterator[str]:
    """Fields with what stands below them, and public methods with their first sentence."""
    node = _parsed(cls)
    assert isinstance(node, ast.ClassDef)
    for field, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            default = f" = {ast.unparse(field.value)}" if field.value else ""
            name = f"{ast.unparse(field.target)}: {ast.unparse(field.annotation)}{default}"
            yield f"- `{name}`: {' '.join(str(below.value.value).split())}"
        elif isinstance(field, ast.FunctionDef) and not field.name.startswith("_"):
            kind = "" if any(ast.unparse(d) == "property" for d in field.decorator_list) else "()"
            yield f"- `{field.name}{kind}`: {' '.join((ast.get_docstring(field) or '').split())}"


def _prose(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def _parsed(thing: Any) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def metrics() -> str:
    """docs/metrics.md. Raises KeyError for a field that MEANINGS says nothing of."""
    entry = _keys("training/figures.py", "entry")
    arrays = _keys("training/metrics.py", "columns")
    lines = [METRICS, "\n## metrics.jsonl\n", "An entry for every logging interval and evaluation.\n"]
    lines += ["| field | meaning |", "|---|---|", *(f"| `{name}` | {MEANINGS[name]} |" for name in entry)]
    lines += ["\n## training_metrics.json\n", "Parallel arrays of equal length, a number for each entry.\n"]
    lines += ["| array | field of the entries |", "|---|---|"]
    lines += [f"| `{name}` | `{field}` |" for name, field in arrays.items()]
    lines += [
        "\n## events.jsonl\n",
        "What depends on clocks and processes. Each line has `time` (UTC), `event`, and:\n",
    ]
    lines += ["| event | fields |", "|---|---|"]
    for name, fields in sorted(_events()):
        lines.append(f"| `{name}` | {', '.join(f'`{field}`' for field in fields)} |")
    return "\n".join(lines) + "\n"


def _keys(path: str, variable: str) -> dict[str, str]:
    """The keys of the dictionary that is assigned to `variable`, with their values where these are constants."""
    for node in ast.walk(ast.parse((SOURCE / path).read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == variable
            and isinstance(node.value, ast.Dict)
        ):
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(k): getattr(v, "value", "") for k, v in pairs if k is not None}
    raise LookupError(f"{path}: no {variable}")


def _events() -> Iterator[tuple[str, list[str]]]:
    """(name, fields) of each event that some code writes to events.jsonl, with fields that not all have."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            fields: list[str] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
                for keyword in node.keywords:
                    fields += [keyword.arg] if keyword.arg else sorted(_named_in(keyword.value))
                yield ast.literal_eval(node.args[0]), [field for field in fields if field != "time"]
            elif isinstance(node, ast.Dict):  # a line that is written without a metrics log
                line = {k.value: v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)}
                if line.keys() >= {"time", "event"} and isinstance(line["event"], ast.Constant):
                    yield ast.literal_eval(line["event"]), [str(k) for k in line if k not in ("time", "event")]


def _named_in(value: ast.expr) -> set[str]:
    """The names that an unpacked dictionary has as constants."""
    keys = {ast.literal_eval(k) for n in ast.walk(value) if isinstance(n, ast.Dict) for k in n.keys if k is not None}
    listed = {
        ast.literal_eval(item)
        for node in ast.walk(value)
        if isinstance(node, ast.comprehension) and isinstance(node.iter, ast.Tuple)
        for item in node.iter.elts
    }
    return keys | listed


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


PAGES = {
    "configuration.md": configuration,
    "cli.md": command_line,
    "python-api.md": python_api,
    "metrics.md": metrics,
}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for page, write in PAGES.items():
        (folder / page).write_text(write(), encoding="utf-8")
