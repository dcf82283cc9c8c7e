"""Power cuts: whatever part of the file operations has reached the disk, the last published checkpoint is found.

The operations of the real code are recorded. Then the power is cut after each of them, on a disk that promises only
what fsync promises: data of a file that was not synchronized may be lost, torn or there, and each change of a
directory that was not synchronized may be lost or there, in any combination.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from groundup.config import load_config
from groundup.corpus import Tokenizer
from groundup.events import nobody
from groundup.model import ModelShape, Transformer
from groundup.runs import link_best, make_directory, newest_good, prune, publish, published, read_journal, verify
from groundup.training import Metrics, State, build_optimizer
from groundup.training.saving import Saver

Image = dict[str, bytes | tuple[str] | None]
"""A directory tree: path -> content of a file, (target,) of a link, None of a directory."""
Keeps = Callable[[], bool]
SHUFFLED = 4


@dataclass(eq=False)
class Node:
    """A file, a link or a directory: as programs see it, and as it is on the disk for sure."""

    content: bytes | tuple[str] | None = None
    durable: bytes | tuple[str] | None = b""
    entries: dict[str, "Node"] = field(default_factory=dict)
    durable_entries: dict[str, "Node"] = field(default_factory=dict)
    pending: list[tuple[str | None, str | None, "Node"]] = field(default_factory=list)
    """Changes of the directory since it was synchronized: (name that went, name that came, node)."""

    def change(self, old: str | None, new: str | None, node: "Node") -> None:
        _apply(self.entries, (old, new, node))
        self.pending.append((old, new, node))


def _apply(entries: dict[str, Node], change: tuple[str | None, str | None, Node]) -> None:
    old, new, node = change
    if old is not None and entries.get(old) is node:
        del entries[old]
    if new is not None:
        entries[new] = node


class Disk:
    """Operations on a tree, replayed."""

    def __init__(self) -> None:
        self.root = Node()

    def at(self, path: str) -> Node:
        node = self.root
        for name in Path(path).parts:
            node = node.entries[name]
        return node

    def do(self, kind: str, path: str, more: Any = None) -> None:
        parent, name = self.at(str(Path(path).parent)), Path(path).name
        if kind == "make":  # a directory (None), a link, or an empty file
            parent.change(None, name, Node(more, more if isinstance(more, tuple) else b""))
        elif kind == "write":
            self.at(path).content = more
        elif kind == "remove":
            parent.change(name, None, parent.entries[name])
        elif kind == "rename":
            assert Path(more).parent == Path(path).parent
            parent.change(name, Path(more).name, parent.entries[name])
        elif kind == "fsync":
            node = self.at(path)
            node.durable, node.durable_entries, node.pending = node.content, dict(node.entries), []

    def now(self) -> Image:
        """What programs see."""
        return dict(self._walk(self.root, "", lambda node: (node.content, node.entries)))

    def after_a_cut(self, keep_change: Keeps, data: Callable[[Node], bytes | tuple[str] | None]) -> Image:
        """What may be found after the power was cut."""

        def survived(node: Node) -> tuple[Any, dict[str, Node]]:
            entries = dict(node.durable_entries)
            for change in node.pending:
                if keep_change():
                    _apply(entries, change)
            return data(node), entries

        return dict(self._walk(self.root, "", survived))

    def _walk(self, node: Node, path: str, seen: Callable[[Node], tuple[Any, dict[str, Node]]]) -> Iterator[Any]:
        content, entries = seen(node)
        if path:
            yield path, content
        for name, child in sorted(entries.items()):
            yield from self._walk(child, f"{path}/{name}" if path else name, seen)


def lost(node: Node) -> Any:
    return node.content if node.content is None else node.durable


def torn(node: Node) -> Any:
    if not isinstance(node.content, bytes) or node.content == node.durable:
        return node.content
    assert isinstance(node.durable, bytes)
    start = len(node.durable) if node.content.startswith(node.durable) else 0  # what is appended spares what was there
    return node.content[: (start + len(node.content)) // 2]


def whole(node: Node) -> Any:
    return node.content


def cuts(disk: Disk) -> Iterator[Image]:
    """All that may be found after a cut: the extremes, and combinations drawn at random."""
    for data in (lost, torn, whole):
        yield disk.after_a_cut(lambda: False, data)
        yield disk.after_a_cut(lambda: True, data)
    draws = random.Random(0)
    for _ in range(SHUFFLED):
        yield disk.after_a_cut(lambda: draws.random() < 0.5, lambda node: draws.choice([lost, torn, whole])(node))


class Recorder:
    """Notes every change below `root` while the real code makes it; what it does not see is found by looking."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.disk, self.log = root, Disk(), list[tuple[Any, ...]]()
        for name in ("mkdir", "unlink", "remove", "rmdir", "rename", "replace", "symlink"):
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name)))
        monkeypatch.setattr(os, "fsync", self._fsync)

    def mark(self, what: str, step: int) -> None:
        """A promise is given (`published`, `linked`) or is about to change (`linking`)."""
        self.look()
        self.log.append((what, step))

    def look(self) -> None:
        """Note files that are new or have changed since."""
        known = self.disk.now()
        for path, content in tree(self.root).items():
            if path not in known:
                self._note("make", path, content if not isinstance(content, bytes) else b"")
            if isinstance(content, bytes) and known.get(path) != content:
                self._note("write", path, content)

    def _note(self, *operation: Any) -> None:
        self.disk.do(*operation)
        self.log.append(operation)

    def _noting(self, name: str, real: Callable[..., None]) -> Callable[..., None]:
        def noting(*paths: Any, **keywords: Any) -> None:
            self.look()
            names = [self._name(path, keywords.get("dir_fd")) for path in paths if isinstance(path, str | Path)]
            real(*paths, **keywords)
            if names[-1] is None:  # elsewhere
                return
            if name == "mkdir":
                self._note("make", names[0])
            elif name == "symlink":
                self._note("make", names[1], (str(paths[0]),))
            elif name in ("rename", "replace"):
                self._note("rename", *names)
            else:
                self._note("remove", names[0])

        return noting

    def _fsync(self, descriptor: int) -> None:
        self.look()
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(self.root):
            self._note("fsync", str(path.relative_to(self.root)))

    def _name(self, path: str | Path, folder: int | None = None) -> str | None:
        whole = Path(f"/proc/self/fd/{folder}").readlink() / path if folder is not None else Path(path)
        return str(whole.relative_to(self.root)) if whole.is_relative_to(self.root) else None


def tree(root: Path) -> Image:
    found: Image = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = (str(path.readlink()),)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def build(image: Image, root: Path) -> Path:
    root.mkdir()
    for name, content in image.items():
        if content is None:
            (root / name).mkdir()
        elif isinstance(content, tuple):
            (root / name).symlink_to(content[0])
        else:
            (root / name).write_bytes(content)
    return root


def cut_everywhere(log: list[tuple[Any, ...]]) -> Iterator[tuple[Image, dict[str, int | None]]]:
    """Each distinct tree that a cut may leave, with what was promised by then."""
    disk, promised, seen = Disk(), dict[str, int | None](), set()
    for what, *more in log:
        if what in ("published", "linking", "linked"):
            promised = {**promised, what: more[0]}
            if what == "linked":
                promised["linking"] = None
        else:
            disk.do(what, *more)
        for image in cuts(disk):
            key = (frozenset(image.items()), *sorted(promised.items()))
            if key not in seen:
                seen.add(key)
                yield image, promised


def check(run: Path, promised: dict[str, int | None], copies: bool = False) -> int | None:
    """The invariants of a run that was found after a cut; the step of its newest checkpoint."""
    for checkpoint in published(run).values():
        assert verify(checkpoint) == []
    found = newest_good(run, pytest.fail)
    if "published" in promised:
        assert found and found[0] >= promised["published"]
    best = run / "best"
    if best.exists():
        assert verify(best) == []
        assert json.loads((best / "manifest.json").read_text())["step"] in (
            promised.get("linked"),
            promised.get("linking"),
        )
    else:  # a directory cannot be replaced in one step
        assert "linked" not in promised or (copies and promised["linking"] is not None)
    return found[0] if found else None


def write(directory: Path, step: int) -> None:
    (directory / "training").mkdir()
    for name in ("config.json", "model.safetensors", "training/state.json"):
        (directory / name).write_text(f"{name} of step {step}" * 9)


@pytest.mark.parametrize("copies", [False, True], ids=["links", "copies"])
def test_after_any_power_cut_the_last_published_checkpoint_and_best_are_there(tmp_path: Path, copies: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        if copies:
            patch.setattr(Path, "symlink_to", refuse)
        recorder = Recorder(run, patch)
        best = 0
        for step in (0, 5, 10, 10, 15, 20):
            publish(run, step, lambda directory, step=step: write(directory, step))
            recorder.mark("published", step)
            if step in (0, 10, 20):
                recorder.mark("linking", step)
                link_best(run, run / f"step-{step:08d}")
                recorder.mark("linked", step)
                best = step
            prune(run, keep=1, spare={0, best}, every=lambda step: True)
        recorder.look()
    assert recorder.disk.now() == tree(run)
    assert list(published(run)) == [0, 20]
    for number, (image, promised) in enumerate(cut_everywhere(recorder.log)):
        found = build(image, tmp_path / f"found-{number}")
        check(found, promised, copies)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)
            publish(found, 25, lambda directory: write(directory, 25))  # and the run can go on
            prune(found, keep=1, spare={0}, every=lambda step: True)
        assert newest_good(found, pytest.fail) == (25, found / "step-00000025")
        assert not [path.name for path in found.iterdir() if path.name.startswith(".step-")]
        shutil.rmtree(found)
    assert number > 150


def test_after_any_power_cut_the_directory_that_was_made_for_a_checkpoint_is_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(root, patch)
        make_directory(root / "new" / "deep" / "run")
        publish(root / "new" / "deep" / "run", 0, lambda directory: write(directory, 0))
        recorder.mark("published", 0)
    assert recorder.disk.now() == tree(root)
    found = [image for image, promised in cut_everywhere(recorder.log) if promised]
    for number, image in enumerate(found):
        run = build(image, tmp_path / f"found-{number}") / "new" / "deep" / "run"
        assert newest_good(run, pytest.fail) == (0, run / "step-00000000")
    assert found


def test_after_any_power_cut_the_figures_before_a_checkpoint_are_there(tmp_path: Path) -> None:
    """Of a run as training saves it."""
    run = tmp_path / "run"
    run.mkdir()
    settings = {"optimizer.name": "adamw", "optimizer.learning_rate": 1e-3, "optimizer.weight_decay": 0.0}
    config = load_config(None, settings | {"checkpoint.every": 2, "evaluation.every": 2, "checkpoint.keep": 1})
    model = Transformer(ModelShape("llama", 320, 1, 8, 1, 1, 8, 8, 8, True))
    optimizers = build_optimizer(model, config.optimizer)
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(run, patch)
        metrics, state = Metrics(run), State()
        with Saver(run, config, Tokenizer.of_bytes(), metrics, nobody) as saver:
            for step in (0, 2, 4):
                saver.save(model, optimizers, State(step=step, best_step=state.best_step))
                saver.wait()
                recorder.mark("published", step)
                recorder.mark("linking", step)
                saver.link_best(step)
                saver.wait()
                recorder.mark("linked", step)
                state.best_step = step
                for row in (step, step + 1):
                    metrics.happened({"step": row, "event": "tested"})
        metrics.close()
        recorder.look()
    assert recorder.disk.now() == tree(run)
    for number, (image, promised) in enumerate(cut_everywhere(recorder.log)):
        found = build(image, tmp_path / f"found-{number}")
        step = check(found, promised)
        rows = [row["step"] for row in read_journal(found / "metrics.jsonl")]
        assert rows[:step] == list(range(step or 0))
        shutil.rmtree(found)
    assert number > 150


def test_without_its_fsyncs_the_protocol_fails_these_tests(tmp_path: Path) -> None:
    """The model of a disk is no rubber stamp."""
    run = tmp_path / "run"
    run.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(run, patch)
        publish(run, 0, lambda directory: write(directory, 0))
        recorder.mark("published", 0)
    for left_out in [operation for operation in recorder.log if operation[0] == "fsync"]:
        log = [operation for operation in recorder.log if operation != left_out]
        with pytest.raises(AssertionError):
            for number, (image, promised) in enumerate(cut_everywhere(log)):
                check(build(image, tmp_path / f"{left_out[1].replace('/', '-')}-{number}"), promised)


def refuse(*_: object, **__: object) -> None:
    raise OSError("no links here")
