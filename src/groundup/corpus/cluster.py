"""Preparation as tasks of datatrove, on this machine, on a Slurm cluster or on Ray, with a shared file system.

Each task works on one part, in a child process: a crash is an error of its task, and what is done is not done again."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.utils.hashing import HashConfig

from groundup.config import Config
from groundup.corpus.corpus import Corpus
from groundup.corpus.spread import BUCKETS, list_inputs
from groundup.corpus.work import Work, ask_once
from groundup.documents import Server
from groundup.errors import UserError
from groundup.events import Listener, Phase, Progress

EXECUTORS: dict[str, type[PipelineExecutor]] = {
    "local": LocalPipelineExecutor,
    "slurm": SlurmPipelineExecutor,
    "ray": RayPipelineExecutor,
}
_CONFIG = MinhashConfig(num_buckets=BUCKETS, hashes_per_bucket=1, hash_config=HashConfig(precision=64, hash_fc="sha1"))


class Stage(PipelineStep):
    """A stage of groundup on the part whose number is the task's rank."""

    type = "groundup"

    def __init__(self, work: str, stage: str) -> None:
        self.name = stage
        super().__init__()
        self.work, self.stage = work, stage

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        with self.track_time():
            ask_once(Work(Path(self.work)), self.stage, rank)


def prepare_on_cluster(
    paths: Sequence[Path | Server],
    out: Path,
    config: Config,
    *,
    executor: str,
    tasks: int,
    options: Mapping[str, Any],
    listen: Listener,
) -> Corpus:
    """Prepare `paths` into `out` in `tasks` tasks of an executor, which takes `options`; the shards do not depend on
    their number. With Slurm they are only submitted, and the Corpus is there when they are done.

    The same call again continues after a failure. Raises UserError for options that the executor does not take.
    """
    if executor not in EXECUTORS:
        raise UserError(f"there is no executor {executor!r}", where="--executor", fix=f"one of {', '.join(EXECUTORS)}")
    if tasks < 1:
        raise UserError(f"{tasks} tasks were asked for", where="--tasks", fix="ask for at least 1")
    if servers := [path for path in paths if isinstance(path, Server)]:
        raise UserError(
            "a database is not read in tasks", where=str(servers[0]), fix="prepare it by itself, without --executor"
        )
    place = out.with_name(f".{out.name}.preparing")
    request = {"paths": [str(path) for path in paths], "tasks": tasks, "data": asdict(config.data)}
    if not _same_request(place, request):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        work = Work.begin(place, config)
        work.note("parts", tasks)
        work.note("out", str(out.absolute()))
        list_inputs(work, paths, tasks)
        work.note("request", request)
    steps = _steps(place, tasks, config.data.dedup)
    listen(Phase(f"preparing with {executor}", len(steps), "steps"))
    before: PipelineExecutor | None = None
    for done, (name, pipeline, count) in enumerate(steps, 1):
        settings: dict[str, Any] = {"tasks": count, "logging_dir": str(place / "logs" / name), **options}
        if executor == "slurm":
            settings |= {"job_name": f"groundup-{name}", "depends": before}
        elif "workers" in settings:
            settings["workers"] = min(settings["workers"], count)
        try:
            before = job = EXECUTORS[executor](pipeline=pipeline, **settings)
        except TypeError as error:
            raise UserError(
                f"the executor does not take these options: {error}",
                where=f"--executor {executor}",
                fix="give --option NAME=VALUE for the arguments of datatrove's executor; docs/scale.md lists the usual",
            ) from None
        if executor != "slurm" or done == len(steps):  # Slurm's submits those it depends on before itself
            job.run()
            listen(Progress(done, name))
    if executor == "slurm":
        return Corpus(out)
    shutil.rmtree(place)
    return Corpus(out)


def _steps(place: Path, tasks: int, dedup: str) -> list[tuple[str, list[PipelineStep], int]]:
    """(name, pipeline, number of tasks), each after the one before."""

    def stages(*names: str) -> list[PipelineStep]:
        return [Stage(str(place), name) for name in names]

    def matching(kind: str) -> list[tuple[str, list[PipelineStep], int]]:
        buckets = MinhashDedupBuckets(
            str(place / f"{kind}-keys"), str(place / f"{kind}-matches"), config=_CONFIG, lines_to_buffer=10_000
        )
        return [(f"match-{kind}", [buckets], BUCKETS)]

    near = {"exact": [], "documents": ["documents"], "paragraphs": ["documents", "paragraphs"]}[dedup]
    steps = [("read", stages("read", "examine", *(["write_keys"] if near else [])), tasks)]
    for kind in near:
        steps += matching(kind)
    if near:
        steps.append(("join", stages("join_matches"), len(near)))
    return [
        *steps,
        ("documents", stages("decide_documents"), 1),
        ("cut", stages("cut_long"), tasks),
        ("split", stages("decide_split"), 1),
        ("sample", stages("sample"), tasks),
        ("vocabulary", stages("decide_vocabulary"), 1),
        ("encode", stages("encode"), tasks),
        ("finish", stages("put_together"), 1),
    ]


def _same_request(place: Path, request: dict[str, Any]) -> bool:
    try:
        return json.loads((place / "request.json").read_text()) == json.loads(json.dumps(request))
    except (OSError, ValueError):
        return False
