"""Everything about a run that is decided before its first step, and the moment it has to be done."""

import time
from collections.abc import Callable

from groundup.config import Config
from groundup.corpus import SCORED_TOKENS, Corpus
from groundup.events import Listener, Notice, Phase
from groundup.parallel import Compute, decide_compute
from groundup.planning.calibrate import TRAINING_SHARE, Pace, calibrate, matrix_flops_per_second
from groundup.planning.plan import EVALUATIONS, Plan, make_plan, plan_length
from groundup.training import build_batches, build_model, build_optimizers

# compiling takes 12 to 23 s on two cores, and 5 to 10 from a warm cache, and trains 1.9 times as fast (measured)
COMPILE_FLOPS = 1e13
COMPILE_SECONDS = 90.0
CALIBRATION_SHARE = 0.02  # of the time left
REPORT_SECONDS = 3.0  # pictures and page, measured 2 to 3
EVALUATION_SECONDS = 0.1  # probes and a checkpoint, beside the scoring
EVALUATION_SHARE = 0.1  # of the time for training


def decide(
    config: Config, corpus: Corpus, *, began: float, listen: Listener, poll: Callable[[], None]
) -> tuple[Plan, float | None]:
    """The plan, with every value of `config` decided, and under `--minutes` the time.monotonic() of the last step.

    `began` is the time.monotonic() from which the minutes count. Only then is a clock read; what it decides is part of
    the plan, so that resuming repeats it.
    """
    minutes = config.training.minutes
    if not minutes:
        plan = make_plan(config, corpus)
        flops = float(plan.tokens) * plan.shape.flops_per_token()
        compute = _compute(config, flops >= COMPILE_FLOPS, listen)
        _pin(config, compute)
        if compute.compiled:  # a first step, thrown away: a compiler that does not work must not end the run
            listen(Phase("compiling"))
            _compiled_or_none(
                lambda: _measure(config, corpus, compute, plan, 0.0, compute.threads, True, poll), config, listen
            )
        return _told(plan_length(config, corpus, plan.steps, None, plan.notices), listen), None
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
    compute = _compute(config, deadline - time.monotonic() >= COMPILE_SECONDS, listen)
    _pin(config, compute)
    listen(Phase("calibrating"))
    deadline, steps, evaluations = _calibrated(config, corpus, compute, plan, deadline, listen, poll)
    return _told(plan_length(config, corpus, steps, minutes, plan.notices, evaluations), listen), deadline


def _told(plan: Plan, listen: Listener) -> Plan:
    for notice in plan.notices:
        listen(Notice(notice))
    for warning in plan.warnings:
        listen(Notice(warning, "warning"))
    return plan


def _compute(config: Config, long_enough: bool, listen: Listener) -> Compute:
    compute = decide_compute(config, long_enough)
    for notice in compute.notices:
        listen(Notice(notice, "warning"))
    return compute


def _pin(config: Config, compute: Compute) -> None:
    """Put what was decided for this machine into the configuration, so that resuming repeats it."""
    facts = compute.describe()
    config.decide("device.device", facts["device"], "what this machine has")
    config.decide("device.precision", facts["precision"], "what this machine computes fastest in")
    config.decide("device.threads", facts["threads"], "the cores this process may use")
    config.decide(
        "device.compile", "on" if facts["compiled"] else "off", "whether the run is long enough to pay it back"
    )


def _calibrated(
    config: Config,
    corpus: Corpus,
    compute: Compute,
    plan: Plan,
    deadline: float,
    listen: Listener,
    poll: Callable[[], None],
) -> tuple[float, int, int]:
    """(deadline of the last step, steps until then, evaluations among them) from a few real steps, leaving time for
    what follows training."""

    def measure(threads: int, compiled: bool) -> Pace:
        seconds = min(5.0, CALIBRATION_SHARE * max(deadline - time.monotonic(), 0.0))
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
        pace = _compiled_or_none(lambda: measure(threads, True), config, listen) or pace
    held_out = min(len(corpus.validation), SCORED_TOKENS)
    scoring = pace.score_seconds * min(held_out, config.evaluation.tokens or held_out) + EVALUATION_SECONDS
    samples = 0.01 * plan.shape.layers * config.samples.max_new_tokens / 4
    # at the end: all of the validation split once more, in float32, the pictures and the report
    reserve = 2 * pace.score_seconds * held_out + REPORT_SECONDS + samples
    deadline -= min(reserve, 0.5 * max(deadline - time.monotonic(), 0.0))
    left = max(deadline - time.monotonic(), 0.0)
    evaluations = min(EVALUATIONS, max(2, int(EVALUATION_SHARE * left / scoring)))
    left -= (evaluations + 1) * scoring + min(4 * samples, EVALUATION_SHARE * left)
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
    """The pace of a model and an optimizer that are thrown away."""
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
