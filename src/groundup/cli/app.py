"""The commands of `groundup`, one function each."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from groundup.cli.main import STARTED

app = App(
    name="groundup",
    help="Train language models from the ground up on your own documents, and see what they learn.",
    version_flags=["--version"],
)
app["--help"].group = app["--version"].group = "Options"

Paths = Annotated[list[Path], Parameter(negative=(), consume_multiple=True, allow_leading_hyphen=False)]
Sets = Annotated[
    list[str] | None,
    Parameter(
        name="--set",
        negative=(),
        help="A setting, `section.key=value`; repeatable. docs/configuration.md lists them.",
    ),
]
Budget = Annotated[float | None, Parameter(help="Wall clock of the whole command, in minutes.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print the result as JSON.")]
Size = Annotated[str | None, Parameter(help="The dial: tiny, small, medium or large; everything else follows.")]
Arch = Annotated[str | None, Parameter(help="qwen3 (default) or llama (the same without query and key norms).")]


@app.command
def train(
    paths: Paths,
    *,
    out: Path = Path("checkpoints"),
    minutes: Budget = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: Size = None,
    arch: Arch = None,
    config: Path | None = None,
    set_: Sets = None,
    json_: Json = False,
) -> None:
    """Read documents, train a tokenizer and a model on them, evaluate it, and write a report.

    Run it again with the same arguments and it continues where it was stopped.

    Parameters
    ----------
    paths
        Files, folders, archives, or a corpus that `groundup prepare` made.
    out
        The run directory.
    steps
        Optimizer steps.
    epochs
        Passes over the training text.
    tokens
        Training tokens.
    config
        A TOML file of settings, such as the config.toml of another run.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        run = verbs.train(
            paths,
            out=out,
            minutes=minutes,
            steps=steps,
            epochs=epochs,
            tokens=tokens,
            size=size,
            config=config,
            settings=_settings(set_, arch),
            listen=listen,
            started=STARTED,
        )
    _show_run(run.path, run.info, json_)


@app.command
def resume(run: Path, *, json_: Json = False) -> None:
    """Continue a run that was stopped or killed.

    Parameters
    ----------
    run
        The run directory.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        resumed = verbs.resume(run, listen=listen)
    _show_run(resumed.path, resumed.info, json_)


@app.command
def plan(
    paths: Paths,
    *,
    minutes: Budget = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: Size = None,
    arch: Arch = None,
    config: Path | None = None,
    set_: Sets = None,
    json_: Json = False,
) -> None:
    """Say what `train` would do with the same arguments, and why, without training.

    Parameters
    ----------
    paths
        Files, folders, archives, or a corpus that `groundup prepare` made.
    steps
        Optimizer steps.
    epochs
        Passes over the training text.
    tokens
        Training tokens.
    config
        A TOML file of settings.
    """
    from groundup import verbs
    from groundup.reporting import describe_plan, terminal_listener

    with terminal_listener() as listen:
        made, corpus = verbs.plan(
            paths,
            minutes=minutes,
            steps=steps,
            epochs=epochs,
            tokens=tokens,
            size=size,
            config=config,
            settings=_settings(set_, arch),
            listen=listen,
        )
    facts = {"plan": made.to_json(), "corpus": corpus, "notices": made.notices}
    print(_json(facts) if json_ else describe_plan(facts))


@app.command
def prepare(paths: Paths, *, out: Path, config: Path | None = None, set_: Sets = None, json_: Json = False) -> None:
    """Read and tokenize documents once, into a corpus that `train` takes as PATH.

    Parameters
    ----------
    paths
        Files, folders or archives.
    out
        The corpus directory to make.
    config
        A TOML file of settings.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        corpus = verbs.prepare(paths, out=out, config=config, settings=_settings(set_, None), listen=listen)
    facts = {key: value for key, value in corpus.manifest.items() if key != "shards"}
    if json_:
        print(_json(facts))
    else:
        read, skipped, failed = (facts["files"][status] for status in ("read", "skipped", "failed"))
        print(
            f"{read} files read, {skipped} skipped, {failed} failed\n"
            f"{facts['documents']} documents, {facts['duplicates']} duplicates left out\n"
            f"{facts['train_tokens']:,} training tokens, {facts['validation_tokens']:,} held out\n"
            f"vocabulary: {facts['vocab_size']:,}\n"
            f"corpus: {out}\nnext: groundup train {out}"
        )


@app.command
def read(files: Paths, *, ocr: bool = True, json_: Json = False) -> None:
    """Print the text that training would see of each file.

    Parameters
    ----------
    files
        Files, folders or archives.
    ocr
        Recognize text in images and scanned pages.
    """
    from groundup import verbs
    from groundup.documents import Document

    for item in verbs.read(files, ocr=ocr):
        if json_:
            print(_json(dataclasses.asdict(item), indent=None))
        elif isinstance(item, Document):
            sys.stdout.write(item.text if item.text.endswith("\n") else item.text + "\n")
        else:
            sys.stdout.flush()
            print(f"{item.path}: {item.status} as {item.media_type} {item.reason}".rstrip(), file=sys.stderr)


@app.command
def evaluate(
    run: Path, paths: Annotated[list[Path] | None, Parameter(negative=())] = None, *, json_: Json = False
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
        scores = verbs.evaluate(run, paths or [], listen=listen)
    print(_json(scores) if json_ else describe_scores(scores))


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

    texts = verbs.generate(run, prompts, settings, n=n, use_cache=cache, on_text=stream if single else None)
    if json_:
        rows = [{"prompt": prompts[i // n], **dataclasses.asdict(text)} for i, text in enumerate(texts)]
        print(_json(rows))
    elif single:
        print()
    else:
        print("\n---\n".join(text.text for text in texts))


@app.command
def chat(run: Path, *, temperature: float = 0.8, top_k: int = 50, seed: int = 0, max_new_tokens: int = 200) -> None:
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

    verbs.chat(run, SamplingSettings(temperature=temperature, top_k=top_k, seed=seed, max_new_tokens=max_new_tokens))


@app.command
def report(run: Path, *, json_: Json = False) -> None:
    """Write report.html and the pictures of a run again, and print its summary.

    Parameters
    ----------
    run
        The run directory; it may still be training.
    """
    from groundup import verbs

    opened = verbs.report(run)
    _show_run(opened.path, opened.info, json_)


@app.command
def compare(runs: Paths, *, out: Path | None = None, json_: Json = False) -> None:
    """Compare runs: settings that differ, final figures, and their curves in one picture.

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
    print(_json(comparison) if json_ else describe_comparison(comparison))


@app.command
def demo(*, out: Path = Path("demo-run"), minutes: float = 4.0) -> None:
    """Train on documents that come with groundup and with Python, and show what was learned.

    Parameters
    ----------
    out
        The run directory.
    minutes
        Wall clock of the whole command, in minutes.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        run = verbs.demo(out=out, minutes=minutes, listen=listen, started=STARTED)
    _show_run(run.path, run.info, False)


def _settings(assignments: list[str] | None, arch: str | None) -> dict[str, Any]:
    from groundup.config import parse_settings

    return {**parse_settings(assignments or []), **({"model.arch": arch} if arch else {})}


def _show_run(path: Path, info: dict[str, Any], as_json: bool) -> None:
    from groundup.reporting import summarize

    print(_json(info | {"run": str(path)}) if as_json else summarize(path))


def _json(value: Any, indent: int | None = 1) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)
