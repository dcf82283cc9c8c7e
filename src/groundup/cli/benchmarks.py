"""The command that measures: benchmark, with a command of its own for each kind."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from groundup.cli.app import Json, app, as_json

benchmark = App(name="benchmark", help="Measure groundup beside its peers on this machine: tables, JSON, plots.")
app.command(benchmark)

Several = Parameter(negative=(), consume_multiple=True)


@benchmark.command
def train(
    *,
    shape: Annotated[list[str] | None, Several] = None,
    threads: Annotated[list[int] | None, Several] = None,
    contestants: Annotated[list[str] | None, Several] = None,
    rounds: int = 5,
    seconds: float = 2.0,
    python_with: Annotated[list[str] | None, Several] = None,
    seed: int = 0,
    out: Path | None = None,
    plot: Path | None = None,
    json_: Json = False,
) -> None:
    """Training steps: tokens per second beside transformers and litgpt, share of the machine's peak, memory.

    Each contestant keeps its model in a process of its own; they take turns, and ratios are taken within rounds.

    Parameters
    ----------
    shape
        a: 4 layers, 128 wide (default); b: 6 layers, 384 wide; c: GPT-2 124M, context 256; d: the same, context 1024.
    threads
        Threads of each process; several are measured one after the other (default: 1, and all cores).
    contestants
        Default: gpt2, gpt2-bf16, llama, litgpt, groundup, groundup-muon, groundup-eager. The first is the baseline;
        peers may end in -bf16, -compiled or both.
    rounds
        Turns that each contestant takes.
    seconds
        Length of a turn; whole steps, one at least.
    python_with
        Other interpreters that have what this one lacks, such as litgpt.
    seed
        Names the weights and the tokens.
    out
        A file for all that was measured, as JSON.
    plot
        A file for a picture of the ratios (PNG).
    """
    from groundup import verbs
    from groundup.benchmarking import CONTESTANTS
    from groundup.reporting import describe_training_benchmark, terminal_listener

    with terminal_listener() as listen:
        result = verbs.benchmark(
            "train",
            shapes=shape or ["a"],
            threads=threads or [],
            contestants=contestants or CONTESTANTS,
            rounds=rounds,
            seconds=seconds,
            python_with=python_with or [],
            seed=seed,
            out=out,
            plot=plot,
            listen=listen,
        )
    print(as_json(result) if json_ else describe_training_benchmark(result))


@benchmark.command
def learn(
    text: Path,
    *,
    at: Annotated[list[str] | None, Several] = None,
    seeds: Annotated[list[int] | None, Several] = None,
    cache: Annotated[list[str] | None, Several] = None,
    threads: int | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    json_: Json = False,
) -> None:
    """Time to quality: what `groundup train --minutes` learns of a text, beside nanoGPT's README recipe for CPUs.

    The first 90% train, every character of the rest is scored. The reference runs with transformers' GPT-2 class; W is
    its wall clock / 1.2, because nanoGPT's own model is that much faster. groundup gets shares of W, everything in it.

    Parameters
    ----------
    text
        A text file in UTF-8; a book or more.
    at
        Shares of W that groundup is given (default: 1/7 1/5 1 5).
    seeds
        Default: 0 1 2.
    cache
        Compile caches: cold (empty), warm (from a run before), or both (default).
    threads
        Of every process (default: all cores).
    out
        A file for all that was measured, as JSON, written after every run; what it holds is not measured again.
    plot
        A file for a picture of loss over seconds (PNG).
    """
    from groundup import verbs
    from groundup.benchmarking.learning import CACHES, FRACTIONS
    from groundup.reporting import describe_learning, terminal_listener

    with terminal_listener() as listen:
        result = verbs.benchmark(
            "learn",
            text=text,
            at=at or FRACTIONS,
            seeds=(0, 1, 2) if seeds is None else seeds,
            caches=cache or CACHES,
            threads=threads,
            out=out,
            plot=plot,
            listen=listen,
        )
    print(as_json(result) if json_ else describe_learning(result))


@benchmark.command
def generate(
    *,
    shape: Annotated[list[str] | None, Several] = None,
    prompt: Annotated[list[int] | None, Several] = None,
    new: Annotated[list[int] | None, Several] = None,
    threads: Annotated[list[int] | None, Several] = None,
    contestants: Annotated[list[str] | None, Several] = None,
    rounds: int = 5,
    seconds: float = 1.0,
    seed: int = 0,
    out: Path | None = None,
    plot: Path | None = None,
    json_: Json = False,
) -> None:
    """Writing one text: tokens per second beside transformers, share of the memory bandwidth, with and without a cache.

    Parameters
    ----------
    shape
        b: 6 layers, 384 wide, context 512 (default); c: GPT-2 124M, context 1024.
    prompt
        Tokens to read first; several are measured one after the other (default: 128).
    new
        Tokens to write (default: 256).
    threads
        Threads of each process (default: all cores).
    contestants
        Default: gpt2, gpt2-bf16, groundup, groundup-bf16, groundup-int8, groundup-uncached. Ratios are to gpt2.
    rounds
        Turns that each contestant takes.
    seconds
        Length of a turn; whole texts, one at least.
    seed
        Names the weights.
    out
        A file for all that was measured, as JSON.
    plot
        A file for a picture of tokens per second over the lengths (PNG).
    """
    from groundup import verbs
    from groundup.benchmarking import DECODERS
    from groundup.reporting import describe_decoding, terminal_listener

    with terminal_listener() as listen:
        result = verbs.benchmark(
            "generate",
            shapes=shape or ["b"],
            prompts=prompt or [128],
            new_tokens=new or [256],
            threads=threads or [],
            contestants=contestants or DECODERS,
            rounds=rounds,
            seconds=seconds,
            seed=seed,
            out=out,
            plot=plot,
            listen=listen,
        )
    print(as_json(result) if json_ else describe_decoding(result))


@benchmark.command
def cost(
    *,
    contestant: str = "groundup",
    threads: int | None = None,
    rounds: int = 3,
    seconds: float = 1.0,
    starts: int = 3,
    seed: int = 0,
    out: Path | None = None,
    plot: Path | None = None,
    json_: Json = False,
) -> None:
    """Seconds a training token takes, over model size, context and batch, beside the line of its operations; start-up.

    Parameters
    ----------
    contestant
        groundup: AdamW, compiled; groundup-eager is measured sooner; groundup-muon, groundup-muon-eager.
    threads
        Threads of each process (default: all cores).
    rounds
        Turns of each shape.
    seconds
        Length of a turn; whole steps, one at least.
    starts
        Fresh processes for each start-up time.
    seed
        Names the weights and the tokens.
    out
        A file for all that was measured, as JSON.
    plot
        A file for a picture of the lines (PNG).
    """
    from groundup import verbs
    from groundup.reporting import describe_cost, terminal_listener

    with terminal_listener() as listen:
        result = verbs.benchmark(
            "cost",
            contestant=contestant,
            threads=threads,
            rounds=rounds,
            seconds=seconds,
            starts=starts,
            seed=seed,
            out=out,
            plot=plot,
            listen=listen,
        )
    print(as_json(result) if json_ else describe_cost(result))
