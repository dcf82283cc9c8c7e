"""The commands for documents: read, prepare, tokenize."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from groundup.cli.app import Json, Paths, Sets, app, as_json, settings
from groundup.errors import UserError


@app.command
def read(files: Paths, *, config: Path | None = None, set_: Sets = None, json_: Json = False) -> None:
    """Print the text that training would see of each file.

    Parameters
    ----------
    files
        Files, folders or archives.
    config
        A TOML file of settings.
    """
    from groundup import verbs
    from groundup.documents import Document

    several = False
    for item in verbs.read(files, config=config, settings=settings(set_)):
        if json_:
            several |= isinstance(item, Document)
            print(as_json(dataclasses.asdict(item), indent=None))
        elif isinstance(item, Document):
            text = item.text if item.text.endswith("\n") else item.text + "\n"
            sys.stdout.write("\n" + text if several else text)
            several = True
        else:
            sys.stdout.flush()
            kind = f" as {item.media_type}" if item.media_type else ""
            why = f": {item.reason}" if item.reason else ""
            print(f"{item.path}: {item.status}{kind}{why}", file=sys.stderr)
    if not several:
        raise UserError("no text could be read", where=", ".join(files), fix="the lines above say why")


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
    duplicates: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    origin: str | None = None,
    executor: Literal["local", "slurm", "ray"] | None = None,
    tasks: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
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
            settings=settings(set_),
            executor=executor,
            tasks=tasks,
            options=parse_settings(option or []),
            listen=listen,
        )
    if origin is not None:
        found = find_origin(corpus, origin)
        print(as_json(dataclasses.asdict(found)) if json_ else describe_origin(found))
    if duplicates is not None:
        pairs = find_pairs(corpus, duplicates)
        print(as_json([dataclasses.asdict(pair) for pair in pairs]) if json_ else describe_pairs(pairs))
    if executor == "slurm":
        print(f"submitted; the corpus will be {out} when the jobs are done (squeue shows them)")
    elif json_ and origin is duplicates is None:
        print(as_json({key: value for key, value in corpus.manifest.items() if key != "shards"}))
    elif report or (origin is duplicates is None and not json_):
        print(describe_ledger(corpus) if report else describe_corpus(corpus.manifest))
        print(f"corpus: {out}\nnext: groundup train {out}")


@app.command
def tokenize(
    tokenizer: Path,
    text: str | None = None,
    *,
    file: Annotated[list[str] | None, Parameter(negative=())] = None,
    json_: Json = False,
) -> None:
    """Show the tokens of a text, and how many other tokenizers would need for it.

    Parameters
    ----------
    tokenizer
        A run directory, a checkpoint, a prepared corpus or a tokenizer.json.
    text
        The text; without it and without files, text that the corpus held out.
    file
        A file or folder whose text is taken instead; repeatable.
    """
    from groundup import verbs
    from groundup.reporting import describe_tokens, terminal_listener
    from groundup.reporting.terminal import draws_live

    with terminal_listener() as listen:
        found = verbs.tokenize(tokenizer, text, files=file or [], listen=listen)
    if json_:
        print(as_json(dataclasses.asdict(found)))
    else:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else 80
        print(describe_tokens(found, color=draws_live(terminal, os.environ), width=width))
