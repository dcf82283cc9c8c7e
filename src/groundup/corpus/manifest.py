"""The manifest of a corpus, which may come from a stranger: checked before anything in it is believed."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from groundup.config.tree import Data
from groundup.errors import UserError
from groundup.runs import read_json

CORPUS_VERSION = 1

_Count = Annotated[int, Field(ge=0, lt=2**53)]
# nothing but the names that are written: others could lead out of the corpus
_Shard = Annotated[str, StringConstraints(pattern=r"^(train|validation)-[0-9]{5,9}\.ds$")]


class _Facts(TypedDict, total=False):
    bytes: _Count
    sha256: str
    index_sha256: str


class _Manifest(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)  # pyright: ignore[reportGeneralTypeIssues]

    fingerprint: str
    train_tokens: _Count
    train_bytes: _Count
    validation_tokens: _Count
    validation_bytes: _Count
    vocab_size: _Count
    notes: list[str]
    settings: dict[str, Any]
    shards: dict[_Shard, _Facts]


_MANIFEST, _DATA = TypeAdapter(_Manifest), TypeAdapter(Data)


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a corpus's manifest.json; raises UserError where it is missing, damaged or of another version."""
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("version") != CORPUS_VERSION:
        raise UserError("is not a corpus of this version of groundup", where=path, fix="run `groundup prepare` again")
    try:
        _MANIFEST.validate_python(manifest)
        if any("bytes" not in facts for facts in manifest["shards"].values()):
            raise UserError("is no manifest of a corpus: a shard has no size", where=path)
        settings = manifest["settings"]
        if any(not key.startswith("data.") for key in settings):
            raise UserError("is no manifest of a corpus: it has settings of something else", where=path)
        _DATA.validate_python({key.removeprefix("data."): value for key, value in settings.items()})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        what = ".".join(map(str, problem["loc"]))[:200]
        raise UserError(
            f"is no manifest of a corpus: {what}: {problem['msg']}", where=path, fix="prepare the corpus again"
        ) from None
    return manifest
