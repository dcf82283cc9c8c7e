"""Everything about a run that is decided before its first step, and the moment it has to be done."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from groundup.config import Config
from groundup.corpus import Corpus
from groundup.events import Listener, Notice, Phase
from groundup.parallel import Compute, available_memory, decide_compute, peak_memory_bytes
from groundup.parallel.accelerator import compile_flops, describe_device
from groundup.planning.calibrate import TRAINING_SHARE, Pace, calibrate, matrix_flops_per_second
from groundup.planning.expected import Expected, expected_loss
from groundup.planning.memory import expected_memory
from groundup.planning.minutes import beside_steps, expected_minutes
from groundup.planning.plan import EVALUATIONS, Plan, decide_dropout, make_plan, plan_length, shape_of
from groundup.training import build_batches, build_model, build_optimizers

COMPILE_SECONDS = 60.0  # with a filled cache runs of 80 s learned most compiled
COLD_COMPILE_SECONDS = 120.0  # compiling took 34 to 41 s of runs of 80 s, which learned more eagerly; 120 is a guess
GUESS = 2.0  # times faster or slower than the guess: steps reach 0.2 to 0.8 of the rate of matrix products
CALIBRATION_SHARE = 0.02  # of the time left
CALIBRATION_SECONDS = 5.0  # at most
SLOW_FLOPS = 5e10  # a second, of a slow core: where the steps are given, only the calibration's length follows from it
EVALUATION_SHARE = 0.1  # of the time for training


def decide(
    config: Config,
    corpus: Corpus,
    *,
    began: float,
    baselines: Mapping[str, Mapping[str, float]],
    listen: Listener,
    poll: Callable[[], None],
) -> tuple[Plan, float | None]:
    """The plan, with every value of `config` decided and what is expected of the run, and under `--minutes` the
    time.monotonic() of the last step.

    `began` is the time.monotonic() from which the minutes count; `baselines` are the `reference_models` of the held-out
    text. Only under `--minutes` does a clock decide anything; that is part of the plan, so that resuming repeats it.
    """
    minutes = config.training.minutes
    if not minutes:
        plan = make_plan(config, corpus)
        flops = float(plan.tokens) * plan.shape.flops_per_token()
        compute = _compute(config, flops >= compile_flops(config.device.device), listen)
        _pin(config, compute)
        seconds = min(CALIBRATION_SECONDS, CALIBRATION_SHARE * flops / SLOW_FLOPS)

        def timed(compiled: bool) -> Pace:
            return _measure(config, corpus, compute, plan, seconds, compute.threads, compiled, poll)

        pace = None
        if compute.compiled:  # steps that are thrown away: a compiler that does not work must not end the run
            listen(Phase("compiling"))
            pace = _compiled_or_none(lambda: timed(True), config, listen)
        else:
            listen(Phase("calibrating"))
        pace = pace or timed(False)
        plan = plan_length(config, corpus, plan.steps, None, plan.notices)
        return _with_expected(plan, config, corpus, pace, began, baselines), None
    deadline = began + minutes * 60
    if time.monotonic() - began > minutes * 30:
        listen(
            Notice(
                f"reading took {time.monotonic() - began:.0f} s, more than half of the time:"
                " `groundup prepare` reads documents once for many runs",
                "warning",
            )
        )
    speed = matrix_flops_per_second(decide_compute(config)) * TRAINING_SHARE
    plan = make_plan(config, corpus, flops_per_second=speed, seconds_left=deadline - time.monotonic())
    compute = _compute(config, deadline - time.monotonic() >= compile_seconds(), listen)
    _pin(config, compute)
    listen(Phase("calibrating"))
    pace = _fastest(config, corpus, compute, plan, deadline, listen, poll)
    deadline, steps, evaluations = _length(config, corpus, plan, pace, deadline)
    plan = plan_length(config, corpus, steps, minutes, plan.notices, evaluations)
    return _with_expected(plan, config, corpus, pace, began, baselines), deadline


def compile_seconds() -> float:
    """Seconds left from which on a run under `--minutes` is compiled: more, where the compiler's cache is empty."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    return COMPILE_SECONDS if any(Path(cache_dir()).iterdir()) else COLD_COMPILE_SECONDS


def _with_expected(
    plan: Plan,
    config: Config,
    corpus: Corpus,
    pace: Pace,
    began: float,
    baselines: Mapping[str, Mapping[str, float]],
) -> Plan:
    elapsed, compiled = time.monotonic() - began, config.device.compile == "on"
    expected = Expected(
        expected_minutes(config, corpus, plan.shape, plan.steps, pace, elapsed=elapsed, compiled=compiled),
        expected_memory(plan.memory_bytes, so_far=peak_memory_bytes()),
        expected_loss(plan.shape, plan.tokens, plan.steps, corpus, baselines),
    )
    return replace(plan, expected=expected)


def _compute(config: Config, long_enough: bool, listen: Listener) -> Compute:
    compute = decide_compute(config, long_enough)
    for notice in compute.notices:
        listen(Notice(notice, "warning"))
    return compute


def _pin(config: Config, compute: Compute) -> None:
    """Put what was decided for this machine into the configuration, so that resuming repeats it."""
    facts = compute.describe()
    config.decide("device.device", facts["device"], describe_device(compute.device))
    config.decide("device.precision", facts["precision"], "what this machine computes fastest in")
    config.decide("device.threads", facts["threads"], "the cores this process may use")
    config.decide("device.deterministic", facts["deterministic"], "the same bytes every time, where that costs little")
    config.decide(
        "device.compile", "on" if facts["compiled"] else "off", "whether the run is long enough to pay it back"
    )


def _fastest(
    config: Config,
    corpus: Corpus,
    compute: Compute,
    plan: Plan,
    deadline: float,
    listen: Listener,
    poll: Callable[[], None],
) -> Pace:
    """The pace of a few real steps, on all threads or one and compiled where the run is."""

    def measure(threads: int, compiled: bool) -> Pace:
        seconds = min(CALIBRATION_SECONDS, CALIBRATION_SHARE * max(deadline - time.monotonic(), 0.0))
        return _measure(config, corpus, compute, plan, seconds, threads, compiled, poll)

    threads = compute.threads
    pace = measure(threads, compiled=False)
    if threads > 1 and "device.threads" in config.planned:
        # on a busy machine two threads can be far slower than one: each barrier waits for the one that does not run
        alone = measure(1, compiled=False)
        if alone.step_seconds < pace.step_seconds:
            pace, threads = alone, 1
            config.decide("device.threads", 1, f"measured faster than {compute.threads} on this machine now")
    if compute.compiled:
        # dropout is compiled in, so it follows from this pace: compiling a second time would cost more than that errs
        steps = max(deadline - time.monotonic(), 0.0) / pace.step_seconds
        decide_dropout(config, steps * plan.tokens / plan.steps / len(corpus.train))
        plan = replace(plan, shape=shape_of(config, corpus))
        pace = _compiled_or_none(lambda: measure(threads, True), config, listen) or pace
    return pace


def _length(config: Config, corpus: Corpus, plan: Plan, pace: Pace, deadline: float) -> tuple[float, int, int]:
    """(deadline of the last step, steps until then, evaluations among them), leaving time for what follows training."""
    beside = beside_steps(config, corpus, plan.shape, pace)
    deadline -= min(beside.ending, 0.5 * max(deadline - time.monotonic(), 0.0))
    left = max(deadline - time.monotonic(), 0.0)
    evaluations = min(EVALUATIONS, max(2, int(EVALUATION_SHARE * left / beside.evaluation)))
    left -= (evaluations + 1) * beside.evaluation + min(4 * beside.draw, EVALUATION_SHARE * left)
    return deadline, max(10, int(left / pace.step_seconds)), evaluations


def _measure(
    config: Config,
    corpus: Corpus,
    compute: Compute,
    plan: Plan,
    seconds: float,
    threads: int,
    compiled: bool,
    poll: Callable[[], None],
) -> Pace:
    """The pace of a model and an optimizer that are thrown away; a guess from matrix products where memory is short."""
    if plan.memory_bytes > available_memory():
        step = (
            plan.tokens / plan.steps * plan.shape.flops_per_token() / matrix_flops_per_second(compute) / TRAINING_SHARE
        )
        return Pace(step, step * plan.steps / plan.tokens / 3, step / GUESS, step * GUESS)
    model = build_model(plan.shape, config, compute)
    optimizers, batches = build_optimizers(model, config, compute), build_batches(config, corpus)
    microbatch = config.training.microbatch or 1
    return calibrate(
        model, optimizers, batches, microbatch, compute, seconds=seconds, threads=threads, compiled=compiled, poll=poll
    )


def _compiled_or_none(measure: Callable[[], Pace], config: Config, listen: Listener) -> Pace | None:
    """The pace of the compiled step; None where compiling fails, and then the run is eager."""
    try:
        return measure()
    except (RuntimeError, OSError) as error:  # torch's compiler raises kinds of these
        text = str(error).strip().split("\n")[0][:200]
        listen(Notice(f"torch.compile failed, so training runs eagerly, the same but slower: {text}", "warning"))
        config.device.compile = "off"
        config.origins["device.compile"] = "torch.compile failed on this machine"
        return None


def announce(plan: Plan, listen: Listener) -> None:
    """Tell what was shrunk, what will cost more than expected, and what is expected."""
    for text in [*plan.notices, *([plan.expected.in_words()] if plan.expected else [])]:
        listen(Notice(text))
    for warning in plan.warnings:
        listen(Notice(warning, "warning"))
