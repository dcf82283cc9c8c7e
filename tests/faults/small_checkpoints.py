"""The files of a checkpoint that nothing can be done with but to publish, damage and delete it."""

from pathlib import Path


def write_files(directory: Path) -> None:
    """Write them into `directory`, as `runs.publish` asks for it."""
    (directory / "training").mkdir()
    for name in ("config.json", "model.safetensors", "training/state.json"):
        (directory / name).write_text(name * 50)
