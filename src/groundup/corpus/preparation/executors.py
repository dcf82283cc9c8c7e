"""datatrove's executors: what arguments they are given, Slurm's jobs, and the connection to Ray."""

import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.executor.base import PipelineExecutor

from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.runs import write_atomic

EXECUTORS: dict[str, type[PipelineExecutor]] = {
    "local": LocalPipelineExecutor,
    "slurm": SlurmPipelineExecutor,
    "ray": RayPipelineExecutor,
}
_OURS = {"self", "pipeline", "tasks", "logging_dir", "depends", "skip_completed", "job_name", "run_on_dependency_fail"}
_OURS |= {"local_tasks", "local_rank_offset", "start_method", "slurm_logs_folder", "nodes_per_task"}


def settings_of(executor: str, options: Mapping[str, Any], steps: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The executor's arguments for each step, out of `options` by name or "STEP.NAME"; texts, as a command line gives
    them, are read as JSON where they are. Raises UserError for what it does not take, and for what it lacks."""
    takes = inspect.signature(EXECUTORS[executor].__init__).parameters
    names = sorted(set(takes) - _OURS)
    if executor == "local":
        names = ["workers"]
    settings: dict[str, dict[str, Any]] = {step: {} for step in steps}
    for key, text in sorted(options.items(), key=lambda item: "." in item[0]):  # those for one step go before
        step, _, name = key.rpartition(".")
        if name not in names or (step and step not in steps):
            raise UserError(
                f"the executor {executor} does not take {key!r}",
                where="--option",
                fix=f"give NAME=VALUE or STEP.NAME=VALUE; names: {', '.join(names)}; steps: {', '.join(steps)}",
            )
        value = _value(text)
        if name == "workers" and (not isinstance(value, int) or (value < 1 and value != -1)):
            raise UserError(f"workers={text}", where="--option", fix="give how many tasks run at once, from 1")
        if name in ("sbatch_args", "srun_args", "ray_remote_kwargs") and not isinstance(value, dict):
            raise UserError(f"{name}={text}", where="--option", fix='give JSON, such as {"account": "NAME"}')
        for each in [step] if step else steps:
            settings[each][name] = value
    if executor == "slurm":
        for needed in (name for name in ("time", "partition") if any(name not in each for each in settings.values())):
            raise UserError(
                f"Slurm needs a {needed}",
                where="--option",
                fix="give --option time=HH:MM:SS, of the longest task, and --option partition=NAME (sinfo shows them)",
            )
        # a job whose predecessor failed would wait for ever
        for each in settings.values():
            each["sbatch_args"] = {"kill-on-invalid-dep": "yes", **each.get("sbatch_args", {})}
            if not {"env_command", "condaenv", "venv_path"} & set(each):
                each["env_command"] = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"'
    return settings


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextmanager
def connect_to_ray() -> Iterator[None]:
    """A connection to the cluster that RAY_ADDRESS names, or Ray on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        raise UserError("needs the package ray", where="--executor ray", fix="pip install ray") from None
    if ray.is_initialized():
        yield None
        return
    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": usable_cores(), "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, **here)
    except ConnectionError as error:
        raise UserError(
            f"Ray was not reached: {error}",
            where="RAY_ADDRESS",
            fix="start it (ray start --head), or unset the variable",
        ) from None
    try:
        yield None
    finally:
        ray.shutdown()


def submit(jobs: Sequence[Any], place: Path) -> list[str]:
    """Hand a chain of jobs to Slurm, each after the one before, and note their numbers in the directory `place`: those.

    Raises UserError when sbatch does not take them."""
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        raise UserError("a task of Slurm cannot submit these", where="--executor slurm", fix="run it on a login node")
    try:
        jobs[-1].run()  # it submits those it depends on before itself
    except FileNotFoundError as error:
        if error.filename != "sbatch":
            raise
        raise UserError("there is no sbatch here", where="--executor slurm", fix="run it on a login node") from None
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"sbatch did not take a job (exit code {error.returncode})",
            where="--option",
            fix="see what it printed; scancel what was submitted already, and run it again",
        ) from None
    finally:
        ids = [str(job.job_id) for job in jobs if getattr(job, "job_id", None) not in (None, -1)]
        write_atomic(place / "jobs.json", json.dumps(ids))
    return ids


def refuse_while_queued(place: Path) -> None:
    """Raises UserError while jobs that `submit` noted are in Slurm's queue: two sets would write the same files."""
    note = place / "jobs.json"
    ids = json.loads(note.read_text(encoding="utf-8")) if note.exists() else []
    if not ids or shutil.which("squeue") is None:
        return
    shown = subprocess.run(
        ["squeue", "--noheader", "--format=%i", f"--jobs={','.join(ids)}"], capture_output=True, text=True, check=False
    )
    if shown.returncode == 0 and (queued := shown.stdout.split()):  # ids that Slurm has forgotten are an error
        raise UserError(
            f"jobs of this preparation are queued or running: {', '.join(queued[:5])}",
            where=place,
            fix=f"wait for them, or scancel {' '.join(ids)}",
        )
