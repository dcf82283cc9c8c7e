"""The learning rate as a pure function of the optimizer step, also while the run's length is corrected."""

import math
from collections.abc import Sequence

from groundup.config import Schedule


def multiplier(config: Schedule, step: int, horizon: Sequence[tuple[int, int]], warmup: int) -> float:
    """What every peak rate is multiplied by for the update with 0-based index `step`; at most 1.

    `horizon` lists (from_step, total_steps): the run's length as known from the update `from_step` on, in
    order, the first from 0. A correction keeps the progress made so far and spreads what is left evenly
    over the updates that remain.

    With x = step + 1 (the updates made once this one is), the multiplier is x / warmup up to x = warmup,
    where it is 1. From there, with s the share left, 1 at x = warmup and 0 at x = total_steps, so at the
    last update:

    - linear: minimum + (1 - minimum) s
    - cosine: minimum + (1 - minimum) (1 - cos(pi s)) / 2 (Loshchilov & Hutter 2017, equation 5)
    - wsd: 1 until `decay` of the whole run is left, then linear to `minimum`; with `decay` 0 always 1
    - constant: 1

    So the last update is made at `minimum` exactly, as is any after it. A warmup as long as the run, or
    longer, is followed as far as the run goes.
    """
    assert step >= 0 and warmup >= 0 and horizon and horizon[0][0] == 0, (step, warmup, horizon)
    made = step + 1
    if made <= warmup:
        return made / warmup
    if config.shape == "constant" or (config.shape == "wsd" and config.decay == 0):
        return 1.0
    left, left_at_peak = _left(made, horizon), _left(warmup, horizon)
    start = min(config.decay, left_at_peak) if config.shape == "wsd" else left_at_peak
    share = min(1.0, left / start) if start > 0 else 0.0
    if config.shape == "cosine":
        share = (1 - math.cos(math.pi * share)) / 2
    return config.minimum + (1 - config.minimum) * share


def _left(made: int, horizon: Sequence[tuple[int, int]]) -> float:
    """The share of the run left after `made` updates: a product of ratios, so that it ends at exactly 0."""
    left = 1.0
    for (start, total), (end, _) in zip(horizon, [*horizon[1:], (made, 0)], strict=True):
        assert start <= end or end == made, horizon
        if made <= start:
            break
        # a correction may say that the run should already be over; then the next update is the last
        span = max(1, total - start)
        left *= max(0, span - (min(made, end) - start)) / span
    return left
