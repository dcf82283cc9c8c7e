"""What may be other when a run goes on: some settings, and, where the user says so, its corpus."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from groundup import runs
from groundup.config import BUDGETS, Config, dump_config, load_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.events import Listener, Notice
from groundup.runs import Journal, Run

STEPS = "training.steps"


def is_fixed(key: str) -> bool:
    """Whether weights, optimizer state or the order of samples depend on a setting, so that it stays as it was."""
    return (key.startswith(("data.", "model.")) and key != "model.dropout") or key in (
        "size",
        "optimizer.name",
        "training.seed",
        "training.tokens_per_update",
        *(budget for budget in BUDGETS if budget != STEPS),
    )


def apply_settings(run: Run, config: Config, settings: Mapping[str, Any], listen: Listener) -> Config:
    """The run's configuration with `settings` changed, and the change on the disk. A finished run is not touched,
    unless it is to have more steps; one that is not planned yet takes any settings. Raises as `check_settings`."""
    if "horizon" not in run.info:
        asked = load_config(None, settings)
        budget = any(key in BUDGETS for key in settings)
        request = run.info["request"]
        kept = {key: value for key, value in request["settings"].items() if not (budget and key in BUDGETS)}
        values = {**kept, **{key: asked.get(key) for key in settings}}
        origins = {**request["origins"], **dict.fromkeys(settings, "command line")}
        config = load_config(None, values)
        config.origins = origins
        run.update(request={**request, "settings": values, "origins": origins})
        return config
    config = decided_config(run)
    _write_settings(run, config)
    changed = check_settings(run, config, settings)
    finished = run.info.get("status") == "finished" and run.info.get("reported")
    if changed and (STEPS in changed or not finished):
        change_settings(run, config, changed, listen)
    return config


def check_settings(run: Run, config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `settings` that differ from those of `config`.

    Raises UserError with the difference for those that cannot change any more, and for steps that are already done.
    """
    asked = load_config(None, settings)
    changed = {key: asked.get(key) for key in settings if asked.get(key) != config.get(key)}
    if refused := [f"{key} is {config.get(key)!r}, not {value!r}" for key, value in changed.items() if is_fixed(key)]:
        raise UserError(
            "cannot change any more, in the run " + "; ".join(refused),
            where=run.path / "config.toml",
            fix="leave it out, or begin another run with another --out"
            + (f"; --set {STEPS}=N makes a run longer" if {*changed} & {*BUDGETS} else ""),
        )
    if changed.get(STEPS, _newest(run)) < _newest(run):
        raise UserError(f"the run is at step {_newest(run)} already", where=STEPS, fix=f"give more than {_newest(run)}")
    return changed


def change_settings(run: Run, config: Config, changed: Mapping[str, Any], listen: Listener) -> None:
    """Put `changed` into the books, into `config`, and into config.toml. More steps make the run longer, also a
    finished one; what the schedule has lowered stays lowered.

    run.json has all of it in one write, so that whoever resumes after a kill brings config.toml into line with it.
    """
    step, facts = _newest(run), {}
    rows = [{"step": step, "key": key, "before": config.get(key), "now": value} for key, value in changed.items()]
    if STEPS in changed:
        entries = [list(entry) for entry in run.info["horizon"]]
        start = max(step, entries[-1][0]) if step else 0
        kept = [entry for entry in entries if entry[0] < start]
        facts = {"horizon": [*kept, [start, changed[STEPS]]], "status": "training", "reported": False}
        if entries[-1][1] <= step and config.schedule.shape != "constant":
            listen(
                Notice(
                    f"the schedule has come to its end: the rates stay at {config.schedule.minimum:g} of their peaks;"
                    " --set schedule.shape=constant goes on at the peaks"
                )
            )
    _note(run, rows, listen, unwritten=rows, **facts)
    _write_settings(run, config)


def _write_settings(run: Run, config: Config) -> None:
    """Put what run.json says was changed, and config.toml does not have yet, into `config` and config.toml."""
    rows = run.info.get("unwritten", [])
    if not rows:
        return
    if fixed := [row["key"] for row in rows if is_fixed(row["key"])]:
        raise UserError(f"is damaged: unwritten: {fixed[0][:200]} cannot change", where=run.path / "run.json")
    values = load_config(None, {row["key"]: row["now"] for row in rows})
    for row in rows:
        section, _, name = row["key"].rpartition(".")
        setattr(config.get(section), name, values.get(row["key"]))
        config.origins[row["key"]] = f"changed at step {row['step']}, {row['before']!r} before"
        if row["key"] == STEPS:
            for budget in BUDGETS:
                if budget != STEPS:
                    setattr(config.training, budget.partition(".")[2], None)
    runs.write_atomic(run.path / "config.toml", dump_config(config))
    del run.info["unwritten"]
    run.update()


def decided_config(run: Run) -> Config:
    """The configuration of a run that was planned. Raises UserError where config.toml lacks what was decided."""
    config = run.config()
    needed = ["optimizer.name", "optimizer.learning_rate", "optimizer.weight_decay", "training.tokens_per_update"]
    needed += [f"model.{name}" for name in ("layers", "width", "heads", "kv_heads", "head_dim", "ffn_width", "context")]
    if config.optimizer.name == "muon":
        needed += ["optimizer.embedding_rate", "optimizer.head_rate"]
    if lacking := [key for key in needed if config.get(key) is None]:
        raise UserError(
            f"lacks {', '.join(lacking)}, which the run had decided",
            where=run.path / "config.toml",
            fix="put the file back as it was, or begin another run with another --out",
        )
    return config


def corpus_changes(run: Run, corpus: Corpus) -> list[str]:
    """In what the corpus is another than the one the run began with, in words; empty where it is the same."""
    before, now = run.info.get("corpus"), corpus.manifest
    if before is None or before["fingerprint"] == now["fingerprint"]:
        return []
    named = [
        f"{key} {before[key]!r}, now {value!r}"
        for key, value in now.items()
        if key in before and key not in ("fingerprint", "notes") and before[key] != value
    ]
    return named or ["as many documents and tokens, but other ones"]


def note_corpus(run: Run, changes: list[str], listen: Listener) -> None:
    """Forget what was measured on the corpus before, and note that it is another from here on."""
    for fact in ("corpus", "baselines"):
        run.info.pop(fact, None)
    row = {"step": _newest(run), "key": "corpus", "before": None, "now": "; ".join(changes)}
    _note(run, [row], listen)
    listen(Notice("losses from here on are those of other texts and not comparable with those before", "warning"))


def _note(run: Run, rows: list[dict[str, Any]], listen: Listener, **facts: Any) -> None:
    """Put changes on record, together with what else they change in run.json."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    run.update(changes=[*run.info.get("changes", []), *({"time": time, **row} for row in rows)], **facts)
    journal = Journal(run.path / "events.jsonl")
    for row in rows:
        step, key, was, now = (row[name] for name in ("step", "key", "before", "now"))
        journal.append({"time": time, "event": "changed", "step": step, "key": key, "before": was, "now": now})
        before = f", {row['before']} before" if row["before"] is not None else ""
        listen(Notice(f"{row['key']} is {row['now']} from step {row['step']} on{before}"))
    journal.close()


def _newest(run: Run) -> int:
    return max(runs.published(run.path), default=0)
