"""The command that turns documents into a corpus: prepare."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groundup.cli.app import Json, Sets, app, as_json, settings


@app.command
def prepare(
    paths: Annotated[
        list[str] | None, Parameter(negative=(), consume_multiple=True, allow_leading_hyphen=False)
    ] = None,
    *,
    out: Path,
    config: Path | None = None,
    set_: Sets = None,
    report: Annotated[bool, Parameter(negative=())] = False,
    duplicates: int | None = None,
    origin: str | None = None,
    executor: Literal["local", "slurm", "ray"] | None = None,
    tasks: int = 1,
    option: Annotated[list[str] | None, Parameter(negative=())] = None,
    json_: Json = False,
) -> None:
    """Read, clean, deduplicate and tokenize documents once, into a corpus that `train` takes as PATH.

    Run it again after files were added, changed or removed, and only those are read. Without PATHS, a corpus that is
    there is looked at.

    Parameters
    ----------
    paths
        Files, folders, archives, Git repositories, or URLs of databases (with --set data.query=...).
    out
        The corpus directory to make, bring up to date, or look at.
    config
        A TOML file of settings.
    report
        Show totals by type and language, and the files that stand out.
    duplicates
        Show this many pairs of each kind of what was left out as a copy, and what was kept.
    origin
        Show which document and page a token came from: SHARD:OFFSET, such as train-00000.ds:1234.
    executor
        Let datatrove run the work as tasks: on this machine, on a Slurm cluster, or on Ray.
    tasks
        Pieces that the work is divided into; the corpus does not depend on it.
    option
        An argument of datatrove's executor, NAME=VALUE; repeatable.
    """
    from groundup import verbs
    from groundup.config import parse_settings
    from groundup.corpus import find_origin, find_pairs
    from groundup.reporting import describe_corpus, describe_ledger, describe_origin, describe_pairs, terminal_listener

    with terminal_listener() as listen:
        corpus = verbs.prepare(
            paths or [],
            out=out,
            config=config,
            settings=settings(set_, None),
            executor=executor,
            tasks=tasks,
            options=parse_settings(option or []),
            listen=listen,
        )
    if origin is not None:
        found = find_origin(corpus, origin)
        print(as_json(dataclasses.asdict(found)) if json_ else describe_origin(found))
    elif duplicates is not None:
        pairs = find_pairs(corpus, duplicates)
        print(as_json([dataclasses.asdict(pair) for pair in pairs]) if json_ else describe_pairs(pairs))
    elif executor == "slurm":
        print(f"submitted; the corpus will be {out} when the jobs are done (squeue shows them)")
    elif json_:
        print(as_json({key: value for key, value in corpus.manifest.items() if key != "shards"}))
    else:
        print(describe_ledger(corpus) if report else describe_corpus(corpus.manifest))
        print(f"corpus: {out}\nnext: groundup train {out}")
