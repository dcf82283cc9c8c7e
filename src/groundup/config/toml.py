"""The configuration from TOML and back, with an error that names file, line and key for everything wrong in it."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import TypeAdapter, ValidationError

from groundup.config.tree import BUDGETS, KEYS, SECTIONS, Config
from groundup.errors import UserError

MOST_BYTES = 1 << 18
LONGEST_LINE = 1 << 16  # characters
# time and memory to parse a key grow with the square of its parts
_ENDLESS_KEY = re.compile(r"(?:[\w\"'-]{1,99}[ \t]{0,3}\.[ \t]{0,3}){100}")

_UNION_TAGS = frozenset({"tuple[nullable,...]", "constrained-int", "constrained-float", "int", "float", "bool", "str"})


def load_config(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration of a TOML `file`, changed by `overrides` (dotted key -> value, or a TOML literal as text).

    Raises UserError naming the file, line and key for anything unknown, misspelt or out of range.
    """
    raw: dict[str, Any] = {}
    origins: dict[str, str] = {}
    text = ""
    if file is not None:
        text, raw = _read_toml(file)
        for section in SECTIONS & raw.keys():
            if not isinstance(raw[section], dict):
                where = f"{file}:{_line(text, section)}"
                raise UserError(
                    f"{section} = {raw[section]!r}: is a section, not a value",
                    where=where,
                    fix=f"write [{section}]",
                )
        for key in sorted({*KEYS} & set(_flatten(raw))):
            origins[key] = f"{file}:{_line(text, key)}"
    for key, value in (overrides or {}).items():
        if key not in KEYS:
            raise UserError(f"unknown setting '{key}'", where="--set", fix=_suggest(key))
        if isinstance(value, str) and not value.isprintable() and re.search("[\ud800-\udfff]", value):
            raise UserError(f"{key} = {value!r}: is not UTF-8", where="--set", fix="write the text in UTF-8")
        if key in BUDGETS:  # a budget on the command line replaces the one of the file
            for other in BUDGETS:
                if other not in (overrides or {}):
                    raw.get("training", {}).pop(other.split(".")[1], None)
                    origins.pop(other, None)
        *path, last = key.split(".")
        target = raw
        for name in path:
            target = target.setdefault(name, {})
        target[last] = _literal(value) if isinstance(value, str) else value
        origins[key] = "command line"
    config = _validate(raw, origins, file, text)
    config.origins = origins
    budget = [key for key in BUDGETS if config.get(key) is not None]
    if len(budget) > 1:
        raise UserError(f"{' and '.join(budget)} are both set", fix="give one budget: minutes, steps, tokens or epochs")
    return config


def dump_config(config: Config) -> str:
    """The configuration as TOML, valid as `--config`, with the origin of each value as a comment."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment("The resolved configuration of this run; `groundup train ... --config THIS_FILE` repeats it.")
    )
    tables: dict[str, Any] = {}
    for key, value in config.values().items():
        section, _, name = key.rpartition(".")
        item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
        origin = config.origins.get(key, "default")
        item.comment(re.sub(r"[\x00-\x1f\x7f]+", " ", origin))
        if not section:
            document.add(name, item)
        else:
            if section not in tables:
                tables[section] = tomlkit.table()
            tables[section].add(name, item)
    for section, table in tables.items():
        document.add(section, table)
    return tomlkit.dumps(document)


def parse_settings(assignments: Sequence[str]) -> dict[str, str]:
    """`["model.layers=4"]` -> `{"model.layers": "4"}`, as `--set` gives them."""
    settings = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: no value", fix="write --set section.key=value")
        settings[key.strip()] = value.strip()
    return settings


def _read_toml(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
        longest = max(map(len, text.splitlines()), default=0)
        if len(data) > MOST_BYTES or longest > LONGEST_LINE or _ENDLESS_KEY.search(text):
            raise UserError("is too long for a configuration", where=file, fix="check the path given to --config")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise UserError("no such configuration file", where=file, fix="check the path given to --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=file) from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and nesting without end
        raise UserError(f"is not valid TOML: {error}", where=file) from None


@cache
def _adapter() -> TypeAdapter[Config]:
    """Made once in a process: it takes a tenth of a second."""
    return TypeAdapter(Config)


def _validate(raw: dict[str, Any], origins: Mapping[str, str], file: Path | None, text: str) -> Config:
    try:
        return _adapter().validate_python(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str) and part not in _UNION_TAGS)
        # pydantic names the branch of a union after the key; keep the part that is a key of ours
        key = next((k for k in (key, *(key.rsplit(".", n)[0] for n in (1, 2))) if k in KEYS), key)
        origin = origins.get(key, "")
        where = (
            origin
            if origin not in ("", "command line")
            else (f"{file}:{_line(text, key)}" if file and not origin else _option(key))
        )
        if problem["type"] == "unexpected_keyword_argument":
            raise UserError(f"unknown setting '{key[:100]}'", where=where, fix=_suggest(key[:100])) from None
        given = _shortly(problem.get("input"))
        message = problem["msg"].replace("Input should be", "should be").replace("valid tuple", "list")
        raise UserError(
            f"{key} = {given}: {message}", where=where, fix="docs/configuration.md lists every setting"
        ) from None


def _shortly(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "..."
    return text if len(text) <= 200 else f"{text[:200]}..."


def _option(key: str) -> str:
    """The option of the command line that sets `key`."""
    return f"--{key.rpartition('.')[2]}" if key in (*BUDGETS, "size") else "--set"


def _suggest(key: str) -> str:
    last = key.rpartition(".")[2]
    near = [k for k in KEYS if k.rpartition(".")[2] == last]  # the right name under a wrong section, or under none
    near = near or difflib.get_close_matches(key, [*KEYS, *SECTIONS], n=1, cutoff=0.6)
    near = near or [k for k in KEYS if difflib.get_close_matches(last, [k.rpartition(".")[2]])]
    return f"did you mean {near[0]}?" if near else "docs/configuration.md lists every setting"


def _flatten(raw: Mapping[str, Any]) -> list[str]:
    """The dotted keys of sections and of what is in none."""
    inside = [(name, value if isinstance(value, dict) else None) for name, value in raw.items()]
    return [key for name, table in inside for key in ([name] if table is None else [f"{name}.{k}" for k in table])]


def _line(text: str, key: str) -> int:
    """The line on which a dotted key stands in TOML text (its section's line, or 1, where it cannot be told)."""
    here, found = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if heading := re.match(r"\s*\[([^\[\]]+)\]", line):
            name = here = re.sub(r"[\s\"']", "", heading[1])
        elif re.fullmatch(r"[\w\s.\"'-]+", assigned := line.partition("=")[0]) and assigned != line:
            name = re.sub(r"[\s\"']", "", f"{here}.{assigned}" if here else assigned)
            if name == key:
                return number
        else:
            continue
        if name == key or key.startswith(f"{name}."):
            found = number
    return found


def _literal(text: str) -> Any:
    """A TOML literal (`4`, `true`, `[0.9, 0.99]`, `"x"`), or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
