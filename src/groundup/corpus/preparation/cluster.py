"""Preparation as tasks on this machine, on a Slurm cluster or on Ray, with a shared file system; datatrove's executors
submit them and note which are done.

Each task works on one part, in a child process: a crash is an error of its task, and what is done is not done again."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from groundup.config import Config
from groundup.cores import usable_cores
from groundup.corpus.corpus import Corpus, is_corpus
from groundup.corpus.preparation import spread, stages
from groundup.corpus.preparation.executors import EXECUTORS, connect_to_ray, refuse_while_queued, settings_of, submit
from groundup.corpus.preparation.spread import BUCKETS, PUBLISHED, divide_inputs, list_inputs
from groundup.corpus.preparation.work import Crew, Stage, Work, ask_once, await_each
from groundup.documents import Server
from groundup.errors import UserError
from groundup.events import Listener, Notice, Phase, Progress
from groundup.runs import locked


class Task(PipelineStep):
    """A stage of groundup on the part whose number is the task's rank."""

    type = "groundup"

    def __init__(self, work: str, stage: str) -> None:
        self.name = stage
        super().__init__()
        self.work, self.stage = work, stage

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        with self.track_time():
            ask_once(Work(Path(self.work)), self.stage, rank)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage in `tasks` tasks, which begin when all of the step before are done."""

    name: str
    stage: Stage
    tasks: int


def prepare_on_cluster(
    paths: Sequence[Path | Server],
    out: Path,
    config: Config,
    *,
    executor: str,
    tasks: int,
    options: Mapping[str, Any],
    listen: Listener,
    poll: Callable[[], None] = lambda: None,
) -> Corpus:
    """Prepare `paths` into `out` in `tasks` tasks of an executor, which takes `options`, by name or, for one step, as
    "STEP.NAME"; the shards do not depend on their number. With Slurm they are only submitted, and the Corpus is there
    when they are done.

    The same call again continues after a failure, and begins anew if a file has changed. Raises UserError for options
    that the executor does not take, and when tasks have failed.
    """
    if executor not in EXECUTORS:
        raise UserError(f"there is no executor {executor!r}", where="--executor", fix=f"one of {', '.join(EXECUTORS)}")
    if tasks < 1:
        raise UserError(f"{tasks} tasks were asked for", where="--tasks", fix="ask for at least 1")
    if servers := [path for path in paths if isinstance(path, Server)]:
        raise UserError(
            "a database is not read in tasks", where=str(servers[0]), fix="prepare it by itself, without --executor"
        )
    logger.disable("datatrove")  # in this process; those of the tasks keep their logs
    steps = _steps(tasks, config.data.dedup)
    settings = settings_of(executor, options, [step.name for step in steps])
    place = (out.parent / f".{out.name}.preparing").absolute()
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        if executor == "slurm":
            refuse_while_queued(place)
        _begin(place, [path for path in paths if isinstance(path, Path)], out, config, tasks)
        jobs: list[PipelineExecutor] = []
        listen(Phase(f"preparing with {executor}", sum(step.tasks for step in steps), "tasks"))
        for step in steps:
            given: dict[str, Any] = {"tasks": step.tasks, "logging_dir": str(place / "logs" / step.name)}
            given |= settings[step.name]
            if executor == "slurm":
                given |= {"job_name": f"groundup-{step.name}", "depends": jobs[-1] if jobs else None}
            jobs.append(EXECUTORS[executor](pipeline=[Task(str(place), step.stage.__name__)], **given))
        if executor == "slurm":
            listen(Notice(f"Slurm's jobs: {', '.join(submit(jobs, place)) or 'none, all is done'}"))
            return Corpus(out)
        done = 0
        crew = None if executor == "ray" else Crew(Work(place), _processes(settings["read"]))
        with connect_to_ray() if crew is None else closing(crew):
            for step, job in zip(steps, jobs, strict=True):
                if crew is None:
                    job.run()
                else:
                    _run_here(crew, step, job, lambda rank, before=done: listen(Progress(before + rank)), poll)
                if missing := job.get_incomplete_ranks():
                    raise UserError(
                        f"{len(missing)} of {step.tasks} tasks of the step {step.name!r} failed",
                        where=place / "logs" / step.name,
                        fix="see the logs there; the same command does only what is missing",
                    )
                done += step.tasks
                listen(Progress(done, step.name))
        shutil.rmtree(place)
    corpus = Corpus(out)
    for note in corpus.manifest["notes"]:
        listen(Notice(note))
    return corpus


def _steps(tasks: int, dedup: str) -> list[Step]:
    kinds = {"exact": 0, "documents": 1, "paragraphs": 2}[dedup]
    near = [Step("match", spread.match, kinds * BUCKETS), Step("join", spread.join_matches, kinds)] if kinds else []
    return [
        Step("read", spread.read, tasks),
        *near,
        Step("documents", spread.decide_documents, 1),
        Step("cut", spread.cut_long, tasks),
        Step("split", spread.decide_split, 1),
        Step("sample", stages.sample, tasks),
        Step("vocabulary", spread.decide_vocabulary, 1),
        Step("encode", stages.encode, tasks),
        Step("finish", spread.put_together, 1),
    ]


def _begin(place: Path, paths: Sequence[Path], out: Path, config: Config, tasks: int) -> None:
    """Write down what is to be done, and remove what was done of something else."""
    try:
        inputs = list_inputs(paths, config.data.exclude)
    except UserError:
        if not (place / "request.json").exists():
            shutil.rmtree(place)
        raise
    request = {
        "groundup": version("groundup"),
        "directory": str(Path.cwd()),
        "inputs": hashlib.sha256("\n".join(inputs).encode()).hexdigest(),
        "out": str(out.absolute()),
        "tasks": tasks,
        "settings": {**asdict(config.data), "planned": sorted(config.planned), "seed": config.training.seed},
        "minutes": config.training.minutes,
    }
    work = Work(place)
    done = (place / f"{PUBLISHED}.json").exists()
    if _noted(work, "request") == json.loads(json.dumps(request)) and (is_corpus(out) or not done):
        return
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(".lock"):
            path.unlink()
    Work.begin(place, config)
    work.note("parts", tasks)
    work.note("out", str(out.absolute()))
    work.note("directory", str(Path.cwd()))
    divide_inputs(work, inputs, tasks)
    work.note("request", request)  # the last: without it everything begins anew


def _noted(work: Work, name: str) -> Any:
    path = work.path / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _processes(settings: Mapping[str, Any]) -> int:
    given = settings.get("workers", -1)
    return usable_cores() if given == -1 else given


def _run_here(
    crew: Crew, step: Step, job: PipelineExecutor, progress: Callable[[int], None], poll: Callable[[], None]
) -> None:
    """Run what is missing of a step in child processes. datatrove's own pool waits for ever for one that was killed."""
    tasks = {rank: crew.submit(step.stage, rank) for rank in job.get_incomplete_ranks()}
    errors: list[UserError | RuntimeError] = []
    for rank, future in tasks.items():
        try:
            for _ in await_each([future], poll):
                job.mark_rank_as_completed(rank)
                progress(rank)
        except (UserError, RuntimeError) as error:  # the others are worth finishing
            errors.append(error)
    if errors:
        raise errors[0]
