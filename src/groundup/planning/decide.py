"""Everything about a run that is decided before its first step, and the moment it has to be done."""

import time
from collections.abc import Callable

from groundup.config import Config
from groundup.corpus import SCORED_TOKENS, Corpus
from groundup.events import Listener, Notice, Phase
from groundup.parallel import Compute, decide_compute
from groundup.planning.calibrate import TRAINING_SHARE, Pace, calibrate, matrix_flops_per_second
from groundup.planning.plan import Plan, make_plan, plan_length
from groundup.training import build_batches, build_model, build_optimizers

CALIBRATION_SHARE = 0.02  # of the time left
REPORT_SECONDS = 4.0  # pictures and page, measured 2 to 3


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
        _pin(config, _compute(config, plan, listen))
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
    compute = _compute(config, plan, listen)
    _pin(config, compute)
    listen(Phase("calibrating"))
    deadline, steps = _calibrated(config, corpus, compute, plan, deadline, poll)
    return _told(plan_length(config, corpus, steps, minutes, plan.notices), listen), deadline


def _told(plan: Plan, listen: Listener) -> Plan:
    for notice in plan.notices:
        listen(Notice(notice))
    for warning in plan.warnings:
        listen(Notice(warning, "warning"))
    return plan


def _compute(config: Config, plan: Plan, listen: Listener) -> Compute:
    compute = decide_compute(config, training_flops=float(plan.tokens) * plan.shape.flops_per_token())
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
    config: Config, corpus: Corpus, compute: Compute, plan: Plan, deadline: float, poll: Callable[[], None]
) -> tuple[float, int]:
    """(deadline of the last step, steps until then) from a few real steps, leaving time for what follows training."""
    model, batches = build_model(plan.shape, config, compute), build_batches(config, corpus)

    def measure(threads: int, compiled: bool) -> Pace:
        return calibrate(
            model,
            build_optimizers(model, config, compute),
            batches,
            config.training.microbatch or 1,
            compute,
            seconds=min(5.0, CALIBRATION_SHARE * max(deadline - time.monotonic(), 0.0)),
            threads=threads,
            compiled=compiled,
            poll=poll,
        )

    threads = compute.threads
    pace = measure(threads, compiled=False)
    if threads > 1 and "device.threads" in config.planned:
        # on a busy machine two threads can be far slower than one: each barrier waits for the one that does not run
        alone = measure(1, compiled=False)
        if alone.step_seconds < pace.step_seconds:
            pace, threads = alone, 1
            config.decide("device.threads", 1, f"measured faster than {compute.threads} on this machine now")
    if compute.compiled:
        pace = measure(threads, compiled=True)
    held_out = min(len(corpus.validation), SCORED_TOKENS)
    scoring = pace.score_seconds * min(held_out, config.evaluation.tokens or held_out) + 0.5
    samples = 0.01 * plan.shape.layers * config.samples.max_new_tokens / 4
    # at the end: all of the validation split once more, in float32, the pictures and the report
    reserve = 2 * pace.score_seconds * held_out + REPORT_SECONDS + samples
    deadline -= min(reserve, 0.5 * max(deadline - time.monotonic(), 0.0))
    evaluations = plan.steps / (config.evaluation.every or 1) + 1
    left = deadline - time.monotonic() - evaluations * scoring - 4 * samples
    return deadline, max(10, int(left / pace.step_seconds))
