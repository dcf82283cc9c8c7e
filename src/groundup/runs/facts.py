"""What run.json may hold. A run may come from a stranger, or from a disk that flips bits: nothing in it is believed
before its shape is checked."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from groundup.errors import UserError

RUN_VERSION = 1

_Seconds = Annotated[float, Field(ge=0)]
_Entry = Annotated[list[Annotated[int, Field(ge=0, lt=2**53)]], Field(min_length=2, max_length=2)]


def _one_after_another(horizon: list[list[int]]) -> list[list[int]]:
    starts = [start for start, _ in horizon]
    if starts[0] != 0 or starts != sorted(starts):
        raise ValueError("should begin at step 0 and go forward")
    return horizon


class _Request(TypedDict):
    paths: list[str]
    settings: dict[str, Any]
    origins: dict[str, str]


class _Corpus(TypedDict):
    fingerprint: str


class _Decision(TypedDict):
    key: str
    reason: str


class _Rewind(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True)  # pyright: ignore[reportGeneralTypeIssues]

    number: Annotated[int, Field(ge=1, lt=2**53)]
    step: Annotated[int, Field(ge=0, lt=2**53)]
    skipped: Annotated[int, Field(ge=0, lt=2**53)]


class _Change(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True)  # pyright: ignore[reportGeneralTypeIssues]

    step: Annotated[int, Field(ge=0, lt=2**53)]
    key: str
    before: Any
    now: Any


class _Plan(TypedDict, total=False):
    decisions: list[_Decision]


class _Facts(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)  # pyright: ignore[reportGeneralTypeIssues]

    status: str
    stop_reason: str
    reported: bool
    request: _Request
    corpus: _Corpus
    plan: _Plan
    horizon: Annotated[list[_Entry], Field(min_length=1), AfterValidator(_one_after_another)]
    rewinds: list[_Rewind]
    baselines: dict[str, dict[str, float | None]]
    compute: dict[str, Any]
    machine: dict[str, Any]
    actual: dict[str, Any]
    changes: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    unwritten: list[_Change]
    phase_seconds: dict[str, _Seconds]
    reading_seconds: _Seconds
    training_seconds: _Seconds
    seconds_before: _Seconds
    tokens_per_second: _Seconds


_FACTS = TypeAdapter(_Facts)


def check_facts(info: Any, path: Path) -> dict[str, Any]:
    """`info` as read from the run.json at `path`; keys that are not known here are left alone.

    Raises UserError naming what cannot be, and the version where another groundup wrote it.
    """
    if not isinstance(info, dict) or type(info.get("version")) is not int:
        raise UserError("is not the run.json of a run", where=path)
    if info["version"] != RUN_VERSION:
        raise UserError(
            f"has version {info['version']}, and this groundup knows version {RUN_VERSION}",
            where=path,
            fix="use the groundup that wrote it",
        )
    try:
        _FACTS.validate_python(info)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise UserError(
            f"is damaged: {key[:200]}: {problem['msg']}",
            where=path,
            fix="its checkpoints may be good: `groundup generate RUN/step-*` uses one",
        ) from None
    return info
