"""`doctor`: every file of a run against its hashes, what is damaged, what is usable, and how to go on."""

import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from groundup.config import Config, load_config
from groundup.corpus import Corpus
from groundup.corpus.corpus import file_sha256
from groundup.errors import UserError
from groundup.runs import Run, parse_row, published, read_json, verify
from groundup.training import abandoned, missing_best
from groundup.verbs.request import PathLike

_FIGURES = ("metrics.jsonl", "probes.jsonl", "samples.jsonl")
_ARRAYS = {"train_loss", "val_loss", "learning_rate", "epochs", "steps"}


def doctor(run: PathLike) -> dict[str, Any]:
    """Check every hash of a run and change nothing.

    Returns `good` (nothing is damaged), `damaged` and `left_over` (rows of `file` and `what`; what crashes left is
    harmless), `checkpoints` (rows of `step`, `directory`, `good`, `bytes`), `newest_good` (a step or None), `best`,
    `status`, `in_use` (who trains in it now, or None), `can_continue` and `next` (what to do, in words).
    Raises UserError when `run` is none.
    """
    return _Examination(Path(run)).result()


class _Examination:
    """What is found out about one run, in the order in which resuming would need it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[dict[str, str]] = []
        self.left_over: list[dict[str, str]] = []
        self.in_use = _holder(path) if path.is_dir() else None
        self.run = self._run()
        self.config = self._config()
        self._corpus()
        self.blocked = bool(self.damaged)  # resuming needs all of these
        self.checkpoints = self._checkpoints()
        good = [row["step"] for row in self.checkpoints if row["good"]]
        self.newest_good = max(good, default=None)
        self.best = self._best()
        self.start, self.remade = self._start()
        self._figures()
        self._leftovers()

    def result(self) -> dict[str, Any]:
        info = self.run.info
        finished = info.get("status") == "finished" and bool(info.get("reported"))
        can_continue = self.newest_good is not None if finished else not self.blocked
        return {
            "run": str(self.path),
            "good": not self.damaged,
            "can_continue": can_continue,
            "status": info.get("status"),
            "in_use": self.in_use,
            "newest_good": self.newest_good,
            "best": self.best,
            "checkpoints": self.checkpoints,
            "damaged": self.damaged,
            "left_over": self.left_over,
            "next": self._next(finished, can_continue),
        }

    def _run(self) -> Run:
        try:
            return Run.open(self.path)
        except UserError as error:
            if not self.path.is_dir() or not ((self.path / "run.json").exists() or published(self.path)):
                raise
            self._damage("run.json", error.what)
            return Run(self.path)

    def _config(self) -> Config | None:
        path = self.path / "config.toml"
        if not path.is_file():
            if "horizon" in self.run.info:
                self._damage("config.toml", "the file is missing")
            return None
        try:
            return load_config(path)
        except UserError as error:
            self._damage("config.toml", error.what)
            return None

    def _corpus(self) -> None:
        known = self.run.info.get("corpus", {}).get("fingerprint")
        try:
            home = self.run.corpus
            if known is None and not (home / "manifest.json").is_file():
                return  # it was stopped while it was reading
            manifest = Corpus(home).manifest
            shards, fingerprint = manifest["shards"], manifest["fingerprint"]
            if known is not None and fingerprint != known:
                self._damage(home / "manifest.json", "is not that of the corpus this run began with")
            for name, facts in shards.items():
                shard = home / name
                self._compare(shard, facts.get("sha256"), facts["bytes"])
                self._compare(shard.with_suffix(".index"), facts.get("index_sha256"), None)
            content = (home / "tokenizer.json").read_bytes() + json.dumps(shards, sort_keys=True).encode()
            # before there were hashes of indices, a fingerprint was made otherwise
            hashed = all("index_sha256" in facts for facts in shards.values())
            if hashed and hashlib.sha256(content).hexdigest()[:32] != fingerprint:
                self._damage(home / "tokenizer.json", "is not what the corpus was encoded with")
        except UserError as error:
            self._damage(error.where or "corpus", error.what)
        except OSError as error:
            self._damage(error.filename or "corpus", error.strerror or str(error))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._damage("corpus", f"its manifest.json is damaged: {error!r}")

    def _compare(self, path: Path, sha256: str | None, size: int | None) -> None:
        if not path.is_file():
            self._damage(path, "the file is missing")
        elif size is not None and path.stat().st_size != size:
            self._damage(path, f"{path.stat().st_size} bytes instead of {size}")
        elif sha256 is not None and file_sha256(path) != sha256:
            self._damage(path, "its content changed after it was written")

    def _checkpoints(self) -> list[dict[str, Any]]:
        rows = []
        for step, path in published(self.path).items():
            problems = verify(path)
            if problems and not path.is_dir():
                continue  # the process that trains here deleted it meanwhile
            for problem in problems:
                file, _, what = problem.removeprefix(f"{path}/").partition(": ")
                self._damage(path / file, what)
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            rows.append({"step": step, "directory": path.name, "good": not problems, "bytes": size})
        return rows

    def _start(self) -> tuple[int | None, int | None]:
        """The step that resuming would continue from, and that of the best checkpoint it would make again for that."""
        good = {row["step"] for row in self.checkpoints if row["good"]} - set(abandoned(self.run))
        remade = None
        for step in sorted(good, reverse=True):
            try:
                missing = missing_best(self.path, step, good.__contains__)
            except UserError as error:  # it is no damage that hashes tell, so resuming does not go around it
                self._damage(error.where, error.what)
                self.blocked = True
                break
            if missing is None:
                return step, remade
            remade = missing
        return None, remade

    def _best(self) -> str | None:
        best = self.path / "best"
        if best.is_dir() and any(best.iterdir()):
            if best.resolve().parent != self.path.resolve():
                self._damage(best, f"leads out of the run, to {best.resolve()}")
                return None
            if not best.is_symlink():  # a copy, where links cannot be made
                for problem in verify(best):
                    self._damage(best, problem.removeprefix(f"{best}/"))
            return best.resolve().name
        if best.is_symlink():
            self._damage(best, f"leads to {best.readlink()}, which is not there")
        elif best.exists() or len(self.checkpoints) > 1:
            self._damage(best, "is no link to a checkpoint" if best.exists() else "the link is missing")
        return None

    def _figures(self) -> None:
        last = -1
        for name in (*_FIGURES, "events.jsonl"):
            path = self.path / name
            if not path.is_file():
                if self.newest_good:
                    self._damage(path, "the file is missing")
                continue
            *lines, torn = path.read_bytes().split(b"\n")
            rows = [parse_row(line) for line in lines]
            bad = [number for number, row in enumerate(rows, 1) if row is None]
            if torn:
                self.left_over.append({"file": name, "what": "its last line is half written"})
            if bad and name == "events.jsonl":  # it is never cut back, so what crashes tore stays in it
                self.left_over.append({"file": name, "what": f"line {bad[0]} is half written"})
            elif bad:
                self._damage(path, f"line {bad[0]} of {len(rows)} holds no row")
            if name == "metrics.jsonl":
                last = max((row["step"] for row in rows if row and isinstance(row.get("step"), int)), default=-1)
        log_every = self.config.training.log_every if self.config else None
        if self.newest_good and log_every and last < (self.newest_good - 1) // log_every * log_every:
            self._damage("metrics.jsonl", f"ends at step {last}, before the checkpoint of step {self.newest_good}")
        path = self.path / "training_metrics.json"
        if path.is_file() or self.newest_good:
            try:
                arrays = read_json(path)
                if set(arrays) != _ARRAYS or len({len(array) for array in arrays.values()}) != 1:
                    self._damage(path, "does not hold five arrays of one length")
            except UserError as error:
                self._damage(path, error.what)
            except (TypeError, AttributeError):
                self._damage(path, "does not hold five arrays of one length")

    def _leftovers(self) -> None:
        for path in sorted(self.path.iterdir()):
            if path.name.startswith("damaged-step-"):
                self.left_over.append({"file": path.name, "what": "was damaged and set aside; it may be deleted"})
            elif path.name.startswith("replaced-step-"):
                self.left_over.append({"file": path.name, "what": "was set aside and made again; it may be deleted"})
            elif path.name == ".lock-holder" and not self.in_use:
                self.left_over.append({"file": path.name, "what": "its process has died"})
            elif re.fullmatch(r"\..+\.(tmp|deleted|before)", path.name) and not self.in_use:
                self.left_over.append({"file": path.name, "what": "a process died while it wrote or deleted it"})

    def _next(self, finished: bool, can_continue: bool) -> str:
        quoted = shlex.quote(str(self.path))
        if self.in_use:
            return f"{self.in_use} is training in it: files change while they are looked at"
        if finished:
            best = next((row for row in self.checkpoints if row["directory"] == self.best), None)
            if best and best["good"]:
                return f"nothing: the run is finished, and `groundup generate {quoted}` uses its best checkpoint"
            if can_continue:
                usable = shlex.quote(str(published(self.path)[self.newest_good or 0]))
                return f"the run is finished; `groundup generate {usable}` uses a checkpoint that is good"
            return "no checkpoint is usable: train again with another --out"
        if not can_continue:
            usable = f"; the checkpoint of step {self.newest_good} is usable as it is" if self.checkpoints else ""
            return f"restore what is damaged outside of the checkpoints, or train again with another --out{usable}"
        start = "the beginning" if self.start is None else f"step {self.start}"
        why = f": the best checkpoint, of step {self.remade}, is damaged or gone and is made again"
        return f"`groundup resume {quoted}` continues from {start}{why if self.remade is not None else ''}"

    def _damage(self, path: Path | str, what: str) -> None:
        path = Path(path)
        name = path.relative_to(self.path) if path.is_relative_to(self.path) else path
        self.damaged.append({"file": str(name), "what": what})


def _holder(path: Path) -> str | None:
    """Who trains in the run now. Its lock says whether anybody does: a process that died may have left its name, and
    another may have its number by now."""
    if not (path / ".lock").is_file():
        return None
    lock, unnamed = FileLock(path / ".lock"), None
    try:
        lock.acquire(blocking=False)
        lock.release()
        return None
    except Timeout:
        unnamed = "another process"
    except OSError:  # as on a disk that cannot be written: there only the name is known
        pass
    try:
        who = (path / ".lock-holder").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return unnamed
    return who if re.fullmatch(r"process \d+ on .+", who) else unnamed
