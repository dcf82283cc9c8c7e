"""The commands that use documents and runs: evaluate, generate, chat, report, compare, doctor."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groundup.cli.app import Json, Paths, app, as_json, show_run

Precision = Annotated[
    Literal["float32", "bfloat16", "int8"],
    Parameter(help="Of the weights: bfloat16 and int8 take less memory and time, and are nearly as good."),
]


@app.command
def evaluate(
    run: Path,
    paths: Annotated[list[str] | None, Parameter(negative=())] = None,
    *,
    precision: Precision = "float32",
    json_: Json = False,
) -> None:
    """Score a trained model on every token of files, or of its validation split, beside simple baselines.

    Parameters
    ----------
    run
        A run directory (its best checkpoint is used) or a checkpoint.
    paths
        Files or folders to score; without any, the text that training held out.
    """
    from groundup import verbs
    from groundup.reporting import describe_scores, terminal_listener

    with terminal_listener() as listen:
        scores = verbs.evaluate(run, paths or [], precision=precision, listen=listen)
    print(as_json(scores) if json_ else describe_scores(scores))


@app.command
def generate(
    run: Path,
    *,
    prompt: Annotated[list[str] | None, Parameter(negative=(), help="Text to continue; repeatable.")] = None,
    max_new_tokens: int = 200,
    temperature: float = 0.8,
    top_k: int = 50,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    stop: Annotated[list[str] | None, Parameter(negative=(), help="End before this text; repeatable.")] = None,
    seed: int = 0,
    n: int = 1,
    cache: bool = True,
    precision: Precision = "float32",
    json_: Json = False,
) -> None:
    """Continue a prompt; only the new text goes to standard output.

    Parameters
    ----------
    run
        A run directory (its best checkpoint is used) or a checkpoint.
    max_new_tokens
        Most tokens to write.
    temperature
        0 is greedy: always the likeliest token.
    top_k
        Draw among this many likeliest tokens; 0 is all.
    top_p
        Draw among the fewest tokens that together have this probability.
    min_p
        Draw among tokens at least this share as likely as the likeliest.
    repetition_penalty
        Above 1, tokens already used become less likely.
    seed
        The same seed gives the same text.
    n
        Texts for each prompt.
    cache
        Keep keys and values (fast); without it every token reads the whole context again.
    """
    from groundup import verbs
    from groundup.inference import SamplingSettings

    prompts = prompt or [""]
    settings = SamplingSettings(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=tuple(stop or ()),
        max_new_tokens=max_new_tokens,
    )
    single = len(prompts) * n == 1 and not json_

    def stream(_: int, piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    texts = verbs.generate(
        run, prompts, settings, n=n, use_cache=cache, precision=precision, on_text=stream if single else None
    )
    if any(0 in text.slid_at for text in texts):
        print("groundup: a prompt is longer than the model's context: only its end was read", file=sys.stderr)
    if json_:
        rows = [{"prompt": prompts[i // n], **dataclasses.asdict(text)} for i, text in enumerate(texts)]
        print(as_json(rows))
    elif single:
        print()
    else:
        print("\n---\n".join(text.text for text in texts))


@app.command
def chat(
    run: Path,
    *,
    temperature: float = 0.8,
    top_k: int = 50,
    seed: int = 0,
    max_new_tokens: int = 200,
    precision: Precision = "float32",
) -> None:
    """Talk with a trained model in the terminal.

    Parameters
    ----------
    run
        A run directory (its best checkpoint is used) or a checkpoint.
    temperature
        0 is greedy: always the likeliest token.
    top_k
        Draw among this many likeliest tokens; 0 is all.
    seed
        The same seed and the same messages give the same replies.
    max_new_tokens
        Most tokens of one reply.
    """
    from groundup import verbs
    from groundup.inference import SamplingSettings

    settings = SamplingSettings(temperature=temperature, top_k=top_k, seed=seed, max_new_tokens=max_new_tokens)
    verbs.chat(run, settings, precision=precision)


@app.command
def report(run: Path, *, terminal: Annotated[bool, Parameter(negative=())] = False, json_: Json = False) -> None:
    """Write report.html and the pictures of a run again, and print its summary.

    Parameters
    ----------
    run
        The run directory; it may still be training.
    terminal
        Write nothing, and print only the loss curve and its reading, as large as the terminal.
    """
    from groundup import verbs
    from groundup.errors import UserError

    if terminal and json_:
        raise UserError("are two ways to print", where="--terminal and --json", fix="give one of them")
    if terminal:
        _print_curve(run)
    else:
        opened = verbs.report(run)
        show_run(opened.path, opened.info, json_)


def _print_curve(run: Path) -> None:
    from groundup.reporting import describe_curve
    from groundup.reporting.canvas import unicode_shown
    from groundup.reporting.terminal import draws_live
    from groundup.runs import Run

    terminal = sys.stdout.isatty()
    columns, rows = shutil.get_terminal_size((80, 24)) if terminal else (80, 24)
    print(
        describe_curve(
            Run.open(run).path,
            width=columns,
            height=min(rows - 1, 40),
            color=draws_live(terminal, os.environ),
            unicode=unicode_shown(os.environ, sys.stdout.encoding),
        )
    )


@app.command
def compare(runs: Paths, *, out: Path | None = None, json_: Json = False) -> None:
    """Compare runs: settings that differ, final figures, their curves, and whether one is better or was luckier.

    Parameters
    ----------
    runs
        Two or more run directories.
    out
        Where to write the picture (default: comparison.png).
    """
    from groundup import verbs
    from groundup.reporting import describe_comparison

    comparison = verbs.compare(runs, picture=out or Path("comparison.png"))
    width = min(shutil.get_terminal_size().columns, 110) if sys.stdout.isatty() else 80
    print(as_json(comparison) if json_ else describe_comparison(comparison, width))


@app.command
def doctor(run: Path, *, json_: Json = False) -> None:
    """Check every hash of a run: what is damaged, what is usable, how to continue. Changes nothing.

    Exits with 0 when all is well, 1 when something is damaged and the run can go on, 2 when it cannot or is none.

    Parameters
    ----------
    run
        The run directory.
    """
    from groundup import verbs
    from groundup.errors import EXIT_USER
    from groundup.reporting import describe_damage

    found = verbs.doctor(run)
    print(as_json(found) if json_ else describe_damage(found))
    if not found["good"]:
        sys.exit(1 if found["can_continue"] else EXIT_USER)


@app.command
def batch(run: Path, number: int, *, json_: Json = False) -> None:
    """Show the texts that a step learned from, such as one whose loss was a spike.

    Parameters
    ----------
    run
        The run directory.
    number
        The batch, as the lines `spike` and `bad_step` of metrics.jsonl name it; counted from 0.
    """
    from groundup import verbs

    rows = verbs.batch(run, number)
    if json_:
        print(as_json(rows))
    else:
        titles = (f"epoch {row['epoch']}, block {row['block']}: {', '.join(row['sources'])}" for row in rows)
        print("\n\n".join(f"--- {title}\n{row['text']}" for title, row in zip(titles, rows, strict=True)))
