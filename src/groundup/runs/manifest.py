"""What a checkpoint must hold: `manifest.json` lists every file with its size and SHA-256, and `verify` compares."""

import hashlib
import json
from pathlib import Path

from groundup.errors import UserError
from groundup.runs.files import read_json

# whoever raises it raises RUN_VERSION, too: resume then refuses the run before it looks at a checkpoint
MANIFEST_VERSION = 1


def write_manifest(directory: Path, step: int) -> None:
    """Write manifest.json for all files that are in `directory` now; their hashes are of what is read back."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    manifest = {
        "version": MANIFEST_VERSION,
        "step": step,
        "files": {
            path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in files
        },
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def verify(checkpoint: Path, *, contents: bool = True) -> list[str]:
    """What is wrong with a published checkpoint: one line per damaged file; empty when every hash holds.

    Without `contents` only names and sizes are compared, which reads no file but the manifest.
    """
    try:
        manifest = read_json(checkpoint / "manifest.json")
        files = manifest["files"]
        if manifest["version"] != MANIFEST_VERSION:
            return [f"{checkpoint / 'manifest.json'}: version {manifest['version']} is not known to this groundup"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except UserError as error:
        return [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"{checkpoint / 'manifest.json'}: not a manifest ({error!r})"]
    problems = []
    root = checkpoint.resolve()
    for name, (size, digest) in expected.items():
        path = checkpoint / name
        try:
            if not path.resolve().is_relative_to(root):
                problems.append(f"{checkpoint / 'manifest.json'}: {name!r} leads out of the checkpoint")
            elif not path.is_file():
                problems.append(f"{path}: missing")
            elif path.stat().st_size != size:
                problems.append(f"{path}: {path.stat().st_size} bytes instead of {size}")
            elif contents and _sha256(path) != digest:
                problems.append(f"{path}: its content changed after it was saved")
        # a failing disk, no file name at all, links in a circle
        except (OSError, ValueError, RuntimeError) as error:
            problems.append(f"{checkpoint / 'manifest.json'}: {name!r} cannot be read: {error}")
    return problems


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
