"""The runs behind the data curve: one for each part of a corpus, seed and length, in a journal, within a budget."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from groundup.corpus import Corpus
from groundup.errors import Stopped, UserError
from groundup.events import Event, Listener, Notice, Phase, Progress
from groundup.insight.data_curve import diverged
from groundup.runs import Journal, Run, StopRequest, read_journal
from groundup.verbs.finishing import ended_badly
from groundup.verbs.training import train

MARGIN = 1.15  # a run may take so many times longer than those before it let expect
ENOUGH = 0.005  # a run twice as long that gains less than this share of the loss shows that it is at its best
PAST = 0.8  # of a run: one whose lowest validation loss comes before that was long enough
SHORTEST = 10  # steps
FIRST_STEPS, FIRST_EPOCHS = 50, 4  # of the first try on the smallest part
CHAIN_SHARE = 0.8  # of the time, for the first seed; the rest is for others
OVERHEAD_SHARE = 0.05  # of the whole, counted beside each part's own size: small parts take time, too


@dataclass(frozen=True)
class Part:
    """A part of the corpus, drawn for one seed."""

    share: str
    """Such as 1/32."""
    fraction: float
    seed: int
    corpus: Corpus
    documents: int

    @property
    def tokens(self) -> int:
        return len(self.corpus.train)


@dataclass
class Points:
    """Runs that are done, and the doing of more until `deadline` (time.monotonic)."""

    home: Path
    settings: Mapping[str, Any]
    tokens_per_step: int
    deadline: float
    stop: StopRequest
    listen: Listener
    rows: list[dict[str, Any]] = field(init=False)
    out_of_time: bool = False
    """Whether a run was left out because the time was not enough for it."""

    def __post_init__(self) -> None:
        self.journal = Journal(self.home / "points.jsonl")
        everything = list(read_journal(self.home / "points.jsonl"))
        self.rows = [row for row in everything if row.get("event") == "finished"]
        done = {_key(row) for row in self.rows}
        self._begun = {_key(row) for row in everything if row.get("event") == "begun"} - done
        self.number = len(self.rows)

    def search(self, part: Part, steps: int, share_of_time: float) -> tuple[list[dict[str, Any]], bool]:
        """The runs that find how long to train on `part`, and whether its best is among them.

        After a first run of `steps`: where its lowest validation loss comes well before its end, runs half as long
        (their rates have come down by then) while they are better; else runs twice as long, while they are still
        falling at their end and gain more than ENOUGH. No further one is begun that does not fit into `share_of_time`
        of the time left, or after one that diverged; no run at all is returned where there was no time for the first.
        """
        until = time.monotonic() + share_of_time * max(self.deadline - time.monotonic(), 0.0)
        first = self.run(part, steps)
        if first is None:
            return [], False
        tries, shorter = [first], _past(first)
        while not diverged(tries[-1]):
            steps = steps // 2 if shorter else 2 * steps
            if steps < SHORTEST:
                return tries, True
            if (row := self.run(part, steps, until=until)) is None:
                break
            tries.append(row)
            before, bits = tries[-2]["bits_per_byte"], row["bits_per_byte"]
            if not diverged(row) and (bits >= before if shorter else _past(row) or bits > (1 - ENOUGH) * before):
                return tries, True
        return tries, False

    def run(self, part: Part, steps: int, *, until: float | None = None) -> dict[str, Any] | None:
        """The row of a run of `steps`, done now unless it is; None where there is no time for it (until `until`, or the
        deadline), and it was not begun before."""
        self.stop.poll()
        key = (part.share, part.seed, steps)
        for row in self.rows:
            if _key(row) == key:
                return row
        seconds = self.expected_seconds(steps)
        if key not in self._begun:
            if time.monotonic() + MARGIN * seconds > (self.deadline if until is None else until):
                self.out_of_time = True
                return None
            self.journal.append({"event": "begun", "share": part.share, "seed": part.seed, "steps": steps})
            self.journal.sync()  # whatever happens now, going on begins with this run
            self._begun.add(key)
        row = self._train(part, steps)
        self.rows.append(row)
        self.journal.append(row)
        self.journal.sync()
        return row

    def expected_seconds(self, steps: int) -> float:
        """What a run of `steps` would take, after the last few that were done; 0 where nothing is known yet."""
        if not self.rows:
            return 0.0
        last = [row for row in self.rows if not diverged(row)][-3:] or self.rows[-3:]
        pace = median(row["training_seconds"] / max(row["steps"], 1) for row in last)
        beside = median(row["seconds"] - row["training_seconds"] for row in last)
        return pace * steps + beside

    def _train(self, part: Part, steps: int) -> dict[str, Any]:
        self.number += 1
        left = max(self.deadline - time.monotonic(), 0.0)
        title = f"{part.share}, seed {part.seed}, {steps} steps"
        self.listen(Notice(f"run {self.number}: {title}; at most {left / 60:.1f} minutes are left"))
        out = self.home / "runs" / f"{part.share.replace('/', '-')}-seed{part.seed}-steps{steps}"
        began = time.monotonic()
        try:
            run = train(
                [part.corpus.path],
                out=out,
                steps=steps,
                settings={**self.settings, "training.seed": part.seed},
                listen=_only_training(self.listen, title),
                started=began,
            )
        except Stopped:
            self.journal.append({"event": "stopped", "seconds": round(time.monotonic() - began, 2)})
            raise
        except UserError:
            if not (out / "run.json").is_file() or ended_badly(run := Run.open(out)) is None:
                raise
        row = self._row(part, steps, run, time.monotonic() - began)
        if diverged(row):
            self.listen(Notice(f"{title}: diverged after step {row['last_step']}, and is no point", "warning"))
        else:
            self.listen(Notice(f"{title}: {row['bits_per_byte']:.4f} bits per byte, best at step {row['best_step']}"))
        return row

    def _row(self, part: Part, steps: int, run: Run, seconds: float) -> dict[str, Any]:
        final, actual = run.info["final"]["validation"], run.info["actual"]
        manifest = part.corpus.manifest
        return {
            "event": "finished",
            "share": part.share,
            "seed": part.seed,
            "steps": steps,
            "documents": part.documents,
            "bytes": manifest["train_bytes"],
            "tokens": manifest["train_tokens"],
            "bits_per_byte": final["bits_per_byte"],
            "loss": final["loss"],
            "best_step": run.info["best"]["step"],
            "last_step": actual["steps"],
            "ended": run.info["stop_reason"],
            "epochs": actual["epochs"],
            "dropout": run.config().model.dropout,
            "parameters": run.info["plan"]["parameters"],
            "training_seconds": actual["training_seconds"],
            "seconds": round(seconds, 2),
            "run": run.path.relative_to(self.home).as_posix(),
        }


def _past(row: Mapping[str, Any]) -> bool:
    return row["best_step"] <= PAST * row["steps"]


def first_steps(tokens: int, tokens_per_step: int) -> int:
    """Steps of the first try on the smallest part."""
    return max(FIRST_STEPS, -(-FIRST_EPOCHS * tokens // tokens_per_step))


def shares_of_time(fractions: Sequence[float]) -> list[float]:
    """The share of the time that is left when a part's turn comes that its runs may take: in proportion to its size and
    a constant, with CHAIN_SHARE of all the time for all parts together."""
    weights = [fraction + OVERHEAD_SHARE for fraction in fractions]
    others = sum(weights) * (1 / CHAIN_SHARE - 1)
    return [weight / (sum(weights[number:]) + others) for number, weight in enumerate(weights)]


def seconds_spent(home: Path) -> float:
    """What the runs in the journal took."""
    return sum(row.get("seconds", 0.0) for row in read_journal(home / "points.jsonl"))


def _key(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["share"], row["seed"], row["steps"]


def _only_training(listen: Listener, title: str) -> Listener:
    """Of all that a run tells, its training, under `title`, and warnings."""
    training = False

    def heed(event: Event) -> None:
        nonlocal training
        if isinstance(event, Phase):
            training = event.name == "training"
            if training:
                listen(Phase(title, event.total, event.unit))
        elif (isinstance(event, Progress) and training) or (isinstance(event, Notice) and event.level != "info"):
            listen(event)

    return heed
