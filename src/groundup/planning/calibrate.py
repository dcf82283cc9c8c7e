"""How fast this machine is: matrix products for a first guess, real training steps for the plan."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles

import torch

from groundup.corpus import IGNORE, Batches
from groundup.model import Transformer
from groundup.parallel import Compute
from groundup.training import Optimizers, clip_gradients, loss_sums

TRAINING_SHARE = 0.4  # of the matrix-product rate that a small model's training step reaches
TIMED_MICROBATCHES = 1  # of a step that has more: a calibration must not take hours where a step does


@dataclass(frozen=True)
class Pace:
    """Seconds of one training step and of scoring one validation token."""

    step_seconds: float
    """The median of the steps timed."""
    score_seconds: float
    fast: float
    """The first quartile of the steps timed: with the third, how much their times differ on this machine now."""
    slow: float


def matrix_flops_per_second(compute: Compute, seconds: float = 0.25) -> float:
    """Floating-point operations per second of 512-wide matrix products on this device and precision; 4096-wide ones
    on a GPU, which the others would not fill."""
    rows, width = (4096, 4096) if compute.accelerated else (1024, 512)
    a = torch.randn(rows, width, device=compute.device, dtype=compute.precision)
    b = torch.randn(width, width, device=compute.device, dtype=compute.precision)
    for _ in range(3):
        torch.mm(a, b)
    c, count, began = a, 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(10):
            c = torch.mm(a, b)
        c.sum().item()  # waits for devices that run ahead
        count += 10
    return count * 2 * rows * width * width / (time.perf_counter() - began)


def calibrate(
    model: Transformer,
    optimizers: Optimizers,
    batches: Batches,
    microbatch: int,
    compute: Compute,
    *,
    seconds: float,
    threads: int,
    compiled: bool = True,
    poll: Callable[[], None] = lambda: None,
) -> Pace:
    """Time real steps on `threads` for about `seconds` (two at least, after one not counted) and one scored batch.

    Of a step with more than TIMED_MICROBATCHES the first ones stand for all. With `compiled` the step is compiled if
    the run's is. It changes the weights and the optimizer: initialize both again afterwards.
    """
    torch.set_num_threads(threads)
    forward = compute.compile(loss_sums) if compiled else loss_sums
    times, step, began = [], 0, time.perf_counter()
    while step < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        inputs, targets = batches.at(step)
        count = int((targets != IGNORE).sum())
        dealt = time.perf_counter()
        timed = torch.arange(len(inputs)).split(microbatch)[:TIMED_MICROBATCHES]
        for rows in timed:
            poll()
            with compute.autocast():
                nll, _ = forward(model, inputs[rows].to(compute.device), targets[rows].to(compute.device))
            (nll / count).backward()
            nll.item()  # waits for devices that run ahead, as training does
        passed = time.perf_counter()
        clip_gradients(model.parameters(), 1.0).item()
        optimizers.step(1e-3)
        optimizers.zero_grad()
        if step:
            share = sum(map(len, timed)) / len(inputs)
            times.append(dealt - start + (passed - dealt) / share + time.perf_counter() - passed)
        step += 1
        if step == 1:
            began = time.perf_counter()  # the first step pays for compiling and for memory
    inputs, targets = batches.at(0)
    inputs, targets = inputs[:microbatch].to(compute.device), targets[:microbatch].to(compute.device)
    start = time.perf_counter()
    with torch.no_grad(), compute.autocast():
        loss_sums(model, inputs, targets)[0].item()
    fast, middle, slow = quantiles(times, n=4, method="inclusive")
    return Pace(middle, (time.perf_counter() - start) / inputs.numel(), fast, slow)
