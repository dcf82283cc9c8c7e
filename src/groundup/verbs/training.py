"""`train` and `resume`: documents in, a trained and evaluated run directory out."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from groundup import runs
from groundup.config import Config, load_config
from groundup.corpus import Corpus, prepare_corpus
from groundup.documents import Server, check_servers, find_files
from groundup.errors import Stopped, UserError
from groundup.events import Event, Listener, Logged, Notice, Phase, nobody
from groundup.insight import Finding, Watch
from groundup.parallel import Group, group_of_processes, ran_out_of_memory
from groundup.planning import DEFAULT_MINUTES
from groundup.reporting import ProgressLog, plain_line
from groundup.runs import Run
from groundup.verbs.continuing import apply_settings, corpus_changes, decided_config, note_corpus
from groundup.verbs.exhaustion import disk_errors_told, memory_ran_out
from groundup.verbs.finishing import ended_badly, finish
from groundup.verbs.fitting import decide_run, train_model
from groundup.verbs.following import follow
from groundup.verbs.phases import PhaseClock
from groundup.verbs.request import (
    PathLike,
    Paths,
    adopt_corpus,
    as_inputs,
    as_request,
    configure,
    differences,
    new_directory,
    prepared_corpus,
    shell_command,
)
from groundup.verbs.stopping import StopInTime


def train(
    paths: Paths,
    *,
    out: PathLike = "checkpoints",
    minutes: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: str | None = None,
    config: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    listen: Listener = nobody,
    started: float | None = None,
    stop_after: str | None = None,
) -> Run:
    """Train a language model from the ground up on the documents at `paths`, into the run directory `out`.

    At most one budget is given; without one it is ten minutes. `settings` maps dotted keys to values
    (`{"model.layers": 4}`) and overrides the TOML file `config`. On its own unfinished run it resumes; on its own
    finished run it does nothing. `stop_after` (`3h`, `1h30m`, `90s`) limits this call, not the run: it saves so
    that it ends by then. `started` is the time.monotonic() from which that and `minutes` count. Raises UserError for
    bad input and for a directory that holds anything else, Stopped when a signal came or `stop_after` is over.
    """
    began = time.monotonic() if started is None else started
    limit = _limit(stop_after, began)
    with group_of_processes() as group:
        if not group.is_main:
            return follow(group, listen)
        given = as_inputs(paths)
        budget = {"minutes": minutes, "steps": steps, "epochs": epochs, "tokens": tokens}
        resolved = configure(config, settings, size, budget)
        if "training.minutes" in resolved.planned:
            listen(Notice(f"no budget was given: {DEFAULT_MINUTES:g} minutes; --minutes, --steps or --epochs set one"))
        if not given:
            raise UserError("no documents were given", fix="groundup train PATH...")
        check_servers(given, resolved.data.query)
        for path in given:
            if isinstance(path, Path) and not path.exists():
                next(find_files([path]))  # raises with the nearest existing name
        request = {**as_request(given, resolved), "origins": resolved.origins}
        directory = Path(out)
        with disk_errors_told(directory):
            run = _claim(directory, request)
        return _work(run, resolved, given, group, listen, began, limit)


def resume(
    run: PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    accept_corpus: bool = False,
    listen: Listener = nobody,
    started: float | None = None,
    stop_after: str | None = None,
) -> Run:
    """Continue an unfinished run from its newest good checkpoint, or from the start when it has none.

    `settings` may change what leaves the weights and the order of samples usable as they are (rates, cadence, device,
    microbatch, `training.steps` to make the run longer); each change is on record. `accept_corpus` goes on where the
    corpus is another than the one the run began with. A finished run is left as it is, unless it is made longer.
    `stop_after` and `started` are as in `train`. Raises UserError when `run` is none and for other changes, Stopped
    when a signal came or `stop_after` is over.
    """
    began = time.monotonic() if started is None else started
    limit = _limit(stop_after, began)
    with group_of_processes() as group:
        if not group.is_main:
            return follow(group, listen)
        existing = Run.open(Path(run))
        request = existing.info.get("request")
        if not isinstance(request, dict):
            raise UserError("holds no request to continue", where=existing.path / "run.json")
        config = load_config(None, request["settings"])
        config.origins = dict(request["origins"])
        # the password of a database is not kept: a run that was stopped while reading asks the environment for it
        given = as_inputs(request["paths"])
        return _work(existing, config, given, group, listen, began, limit, settings or {}, accept_corpus)


def _limit(stop_after: str | None, began: float) -> tuple[float, str] | None:
    """The time.monotonic() at which `--stop-after` is over, and its name."""
    return None if stop_after is None else (began + runs.seconds_of(stop_after), f"--stop-after {stop_after}")


def _claim(directory: Path, request: dict[str, Any]) -> Run:
    """The run in `directory`: a new one, or the one that `request` began; anything else there is refused."""
    if (directory / "run.json").is_file():
        return _begun(directory, request)
    new_directory(directory, "run", "run.json")
    run = Run(directory)
    with runs.locked(directory):
        if first := not (directory / "run.json").is_file():
            run.update(
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                status="preparing",
                command=shell_command(request, directory),
                request=request,
            )
    return run if first else _begun(directory, request)  # another process was, in the same moment


def _begun(directory: Path, request: dict[str, Any]) -> Run:
    """The run that is in `directory`, if `request` began it or it has not got past reading."""
    run = Run.open(directory)
    before = run.info.get("request") or {}
    if not (directory / "corpus").exists():  # nothing to lose
        with runs.locked(directory):
            run.update(command=shell_command(request, directory), request=request)
        return run
    if found := differences(before, request):
        raise UserError(
            "holds another run: " + "; ".join(found),
            where=directory,
            fix=f"give another --out; `groundup resume {shlex.quote(str(directory))}` continues the run that is there",
        )
    return run


def _work(
    run: Run,
    config: Config,
    given: Sequence[Path | Server],
    group: Group,
    listen: Listener,
    began: float,
    limit: tuple[float, str] | None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    accept: bool = False,
) -> Run:
    """Bring a run from whatever state it is in to its end."""
    with (
        disk_errors_told(run.path),
        runs.locked(run.path),
        runs.stop_on_signals(config.training.grace) as stop,
    ):
        group.heed(stop)
        if limit:
            stop.end_by(*limit)
        run = Run.open(run.path)
        if settings or run.info.get("unwritten"):
            config = apply_settings(run, config, settings, listen)
        if run.info.get("status") == "finished" and run.info.get("reported"):
            if error := ended_badly(run):
                raise error
            listen(Notice(f"the run is finished ({run.info.get('stop_reason')}); nothing to do: {run.path}"))
            return run
        group.give_up_after(config.parallel.timeout)
        group.tell({"run": str(run.path.resolve()), "timeout": config.parallel.timeout})
        log, doing = ProgressLog(run.path / "progress.log"), "starting"
        in_time, clock = StopInTime(stop, run.path, listen), PhaseClock(run, began)
        watch = Watch(runs.read_entries(run.path))

        def both(event: Event) -> None:
            nonlocal doing
            if isinstance(event, Logged):
                log.write(plain_line(event))
                _warn(run, event.entry["step"], watch.heed(event.entry, event.total_steps), log, listen)
            elif isinstance(event, Phase):
                doing = event.name
            in_time.heed(event)
            clock.heed(event)
            listen(event)

        try:
            corpus = _corpus(run, config, given, both, group, began, accept)
            if "horizon" in run.info:
                config = decided_config(run)
                stop.grace = config.training.grace
            deadline = group.tell(decide_run(run, config, corpus, group, listen=both, began=began))
            watch.settings = config.values()
            reason = train_model(run, config, corpus, group, deadline=deadline, figures=run.path, listen=both)
            finish(run, corpus, reason, group, listen=both, began=began)
            run.update(phase_seconds=clock.seconds())
        except Stopped as stopped:
            spent = run.info.get("seconds_before", 0.0) + time.monotonic() - began
            facts = {"seconds_before": round(spent, 2), "phase_seconds": clock.seconds()}
            run.update(status="stopped", stop_reason=str(stopped), **facts)
            raise Stopped(str(stopped), fix=f"`groundup resume {shlex.quote(str(run.path))}` continues it") from None
        except (MemoryError, RuntimeError, OSError) as error:
            if not ran_out_of_memory(error):
                raise
            raise memory_ran_out(run, config, doing) from error
        return run


def _warn(run: Run, step: int, findings: Sequence[Finding], log: ProgressLog, listen: Listener) -> None:
    """Tell of severe signs while a run trains: on the screen, in progress.log and in events.jsonl."""
    for finding in findings:
        text = f"{finding.rule}: {finding.evidence}; {finding.remedy}"
        listen(Notice(text, "warning"))
        log.write(f"warning: {text}")
        journal = runs.Journal(run.path / "events.jsonl")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        journal.append({"time": now, "event": "warning", "step": step, "rule": finding.rule, "text": text})
        journal.close()


def _corpus(
    run: Run,
    config: Config,
    given: Sequence[Path | Server],
    listen: Listener,
    group: Group,
    began: float,
    accept: bool,
) -> Corpus:
    """The run's corpus: prepared now, unless it already is or the input is one."""
    home = run.path / "corpus"
    if not (home / "manifest.json").is_file() and not (home / "reference.json").is_file():
        if path := prepared_corpus(given):
            prepared = Corpus(path.resolve())
            adopt_corpus(config, prepared)
            home.mkdir(exist_ok=True)
            reference = {"path": str(prepared.path), "fingerprint": prepared.manifest["fingerprint"]}
            runs.write_atomic(home / "reference.json", json.dumps(reference) + "\n")
        else:
            prepare_corpus(given, home, config, listen=listen, poll=group.poll)
    corpus = Corpus(run.corpus)
    manifest = corpus.manifest
    if changes := corpus_changes(run, corpus):
        if not accept:
            raise UserError(
                f"is not the corpus this run began with: {'; '.join(changes)}",
                where=corpus.path,
                fix=f"restore it, begin another run with another --out, or go on with this one:"
                f" `groundup resume {shlex.quote(str(run.path))} --accept-corpus`",
            )
        note_corpus(run, changes, listen)
    if "corpus" not in run.info:
        facts = {key: value for key, value in manifest.items() if key not in ("version", "shards", "settings")}
        facts["bytes_per_token"] = round(manifest["train_bytes"] / max(manifest["train_tokens"], 1), 3)
        run.update(corpus=facts, reading_seconds=round(time.monotonic() - began, 2))
    if config.data.tokenizer is None:  # it was prepared before this process
        adopt_corpus(config, corpus)
    return corpus
