"""The loop: what one update is made of, what is logged of it, and how training ends."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundup import runs
from groundup.config import load_config
from groundup.corpus import IGNORE, Batches, Corpus
from groundup.errors import Stopped
from groundup.evaluation import Windows
from groundup.events import Event, Logged, Progress, nobody
from groundup.model import Transformer, initialize
from groundup.parallel import decide_compute
from groundup.planning import make_plan, shape_of
from groundup.training import Horizon, Job, Metrics, State, build_optimizer, fit
from groundup.training.loop import SCALE_START

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path, corpus_dir: Path, tiny: dict[str, Any]) -> MakeJob:
    """A job as the verb `train` makes it, each in a directory of its own."""

    def make(steps: int = 8, **settings: Any) -> Job:
        changed = {key.replace("__", "."): value for key, value in settings.items()}
        config = load_config(None, {**tiny, "training.steps": steps, **changed})
        corpus = Corpus(corpus_dir)
        make_plan(config, corpus, flops_per_second=None, seconds_left=None)
        compute = decide_compute(config)
        model = Transformer(shape_of(config, corpus))
        initialize(model, config.training.seed)
        context, tokens = config.model.context, config.training.tokens_per_update
        assert context and tokens
        run = runs.Run(tmp_path / f"run-{len(list(tmp_path.iterdir()))}")
        run.path.mkdir()
        return Job(
            run=run,
            config=config,
            model=model.train(),
            tokenizer=corpus.tokenizer,
            optimizers=build_optimizer(model, config.optimizer),
            batches=Batches(corpus.train, context=context, batch=tokens // context, seed=config.training.seed),
            validation=Windows.of(corpus.validation_documents(), context).at_most(config.evaluation.tokens),
            probes=["The old"],
            prompts=["The old"],
            byte_lengths=torch.from_numpy(corpus.tokenizer.byte_lengths(model.shape.vocab_size)),
            compute=compute,
            horizon=Horizon([(0, steps)]),
            metrics=Metrics(run.path),
            listen=nobody,
            poll=lambda: None,
        )

    return make


def rows_of(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.run.path / "metrics.jsonl").read_text().splitlines()]


def entries_of(job: Job) -> list[dict[str, Any]]:
    return [row for row in rows_of(job) if "event" not in row]


def snapshot(job: Job) -> dict[str, torch.Tensor]:
    tensors = dict(job.model.state_dict()) | job.optimizers.state_tensors()
    return {name: tensor.clone() for name, tensor in tensors.items()}


def watch_training(job: Job) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(inputs, logits) of every forward pass that is learned from, in order."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def record(_: torch.nn.Module, args: tuple[torch.Tensor], logits: torch.Tensor) -> None:
        if logits.requires_grad:
            seen.append((args[0].clone(), logits.detach().clone()))

    job.model.register_forward_hook(record)
    return seen


def watch_updates(job: Job) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """(rate, gradients) of every optimizer step."""
    seen: list[tuple[float, dict[str, torch.Tensor]]] = []
    step = job.optimizers.step

    def record(rate: float) -> None:
        seen.append((rate, {n: p.grad.clone() for n, p in job.model.named_parameters() if p.grad is not None}))
        step(rate)

    job.optimizers.step = record
    return seen


def poison(job: Job, steps: set[int]) -> None:
    """Make the logits of the training batches of `steps` NaN."""
    batches = {step: job.batches.at(step)[0] for step in steps}

    def spoil(_: torch.nn.Module, args: tuple[torch.Tensor], logits: torch.Tensor) -> torch.Tensor | None:
        bad = any(torch.equal(args[0], inputs[: len(args[0])]) for inputs in batches.values())
        return logits * math.nan if bad and logits.requires_grad else None

    job.model.register_forward_hook(spoil)


@pytest.mark.parametrize("microbatch", [1, 3])
def test_microbatch_size_changes_neither_the_update_nor_the_order(make_job: MakeJob, microbatch: int) -> None:
    whole, parts = make_job(4, training__microbatch=8), make_job(4, training__microbatch=microbatch)
    inputs, updates = (
        (watch_training(whole), watch_training(parts)),
        (watch_updates(whole), watch_updates(parts)),
    )
    fit(whole, State())
    fit(parts, State())
    assert len(inputs[1]) == 4 * math.ceil(8 / microbatch)
    assert torch.equal(*(torch.cat([ids for ids, _ in seen]) for seen in inputs))
    assert [rate for rate, _ in updates[0]] == [rate for rate, _ in updates[1]]
    assert len(updates[1]) == 4
    for name, gradient in updates[0][0][1].items():
        torch.testing.assert_close(updates[1][0][1][name], gradient, rtol=1e-4, atol=1e-7)
    for one, other in zip(entries_of(whole), entries_of(parts), strict=True):
        for figure in ("train_loss", "val_loss", "grad_norm"):
            assert (one[figure] or 0.0) == pytest.approx(other[figure] or 0.0, rel=1e-4)


def test_train_loss_is_the_mean_over_every_microbatch_since_the_entry_before(make_job: MakeJob) -> None:
    # entries at 0, 3, 5 (an evaluation), 6, 9, 10: windows of unequal length, of steps of several microbatches
    job = make_job(10, training__microbatch=3, training__log_every=3, evaluation__every=5)
    seen = watch_training(job)
    fit(job, State())
    entries = entries_of(job)
    assert [entry["step"] for entry in entries] == [0, 3, 5, 6, 9, 10]
    assert len(seen) == 10 * 3
    for before, entry in pairwise(entries):
        nll, hits, targets_seen, nbytes = 0.0, 0, 0, 0
        for step in range(before["step"], entry["step"]):
            logits = torch.cat([logits for _, logits in seen[3 * step : 3 * step + 3]]).double().numpy()
            targets = job.batches.at(step)[1].numpy()
            chosen = targets != IGNORE
            logits, targets = logits[chosen], targets[chosen]
            largest = logits.max(-1)
            log_sum = np.log(np.exp(logits - largest[:, None]).sum(-1)) + largest
            nll += float((log_sum - logits[np.arange(len(targets)), targets]).sum())
            hits += int((logits.argmax(-1) == targets).sum())
            targets_seen += len(targets)
            nbytes += len(job.tokenizer.decode_bytes(targets.tolist()))
        assert entry["train_loss"] == pytest.approx(nll / targets_seen, rel=1e-6)
        assert entry["train_perplexity"] == pytest.approx(math.exp(nll / targets_seen), rel=1e-5)
        assert entry["train_accuracy"] == hits / targets_seen
        assert entry["train_bits_per_byte"] == pytest.approx(nll / math.log(2) / nbytes, rel=1e-6)
        assert entry["tokens"] - before["tokens"] == targets_seen


def test_the_rate_warms_up_by_steps_and_ends_at_its_minimum(make_job: MakeJob) -> None:
    job = make_job(10, training__microbatch=1, schedule__warmup=4, schedule__minimum=0.1, training__log_every=1)
    updates = watch_updates(job)
    fit(job, State())
    rates = [rate for rate, _ in updates]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[-1] == 0.1
    peak = job.config.optimizer.learning_rate
    assert peak
    entries = entries_of(job)
    assert entries[0]["learning_rate"] == 0.25 * peak
    assert [entry["learning_rate"] for entry in entries[1:]] == [rate * peak for rate in rates]


def test_an_untrained_model_knows_nothing(make_job: MakeJob) -> None:
    job = make_job(1)
    fit(job, State())
    first = entries_of(job)[0]
    assert (first["step"], first["epoch"], first["tokens"], first["grad_norm"]) == (0, 0, 0, None)
    for loss in (first["train_loss"], first["val_loss"]):
        assert abs(loss - math.log(job.tokenizer.vocab_size)) < 0.3


def test_dropout_repeats_exactly_and_is_off_in_evaluations(make_job: MakeJob) -> None:
    one, other, without = make_job(6, model__dropout=0.3), make_job(6, model__dropout=0.3), make_job(6)
    for job in (one, other, without):
        fit(job, State())
    assert rows_of(one) == rows_of(other)
    for name, tensor in snapshot(one).items():
        assert torch.equal(tensor, snapshot(other)[name]), name
    assert entries_of(one)[0]["val_loss"] == entries_of(without)[0]["val_loss"]
    assert entries_of(one)[-1]["train_loss"] != entries_of(without)[-1]["train_loss"]


def test_resuming_at_any_checkpoint_repeats_the_rest(make_job: MakeJob) -> None:
    job = make_job(12, model__dropout=0.2, checkpoint__every=1, checkpoint__keep=50, training__log_every=5)
    fit(job, State())
    whole = (job.run.path / "metrics.jsonl").read_bytes()
    from groundup.training import restore

    for step in (0, 3, 8, 12):
        again = make_job(12, model__dropout=0.2, checkpoint__every=1, checkpoint__keep=50, training__log_every=5)
        (again.run.path / "metrics.jsonl").write_bytes(whole)
        again.metrics = Metrics(again.run.path)
        again.metrics.resume(step)
        fit(again, restore(job.run.path / f"step-{step:08d}", again.model, again.optimizers))
        assert (again.run.path / "metrics.jsonl").read_bytes() == whole
        for name, tensor in snapshot(again).items():
            assert torch.equal(tensor, snapshot(job)[name]), (step, name)


def test_a_batch_whose_loss_is_nan_is_skipped_and_named(make_job: MakeJob) -> None:
    job = make_job(8, training__log_every=1)
    poison(job, {3})
    held: dict[int, dict[str, torch.Tensor]] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            held[event.done] = snapshot(job)

    job.listen = listen
    assert fit(job, State()) == "complete"
    for name, tensor in held[3].items():
        assert torch.equal(tensor, held[4][name]), name
    assert any(not torch.equal(tensor, held[5][name]) for name, tensor in held[4].items())
    bad = [row for row in rows_of(job) if row.get("event") == "bad_step"]
    assert [row["step"] for row in bad] == [3]
    assert [tuple(pair) for pair in bad[0]["sequences"]] == job.batches.sequences(3)
    # nothing was learned at step 3, so there is no mean to log at 4, and no NaN anywhere
    assert [entry["step"] for entry in entries_of(job)] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert all(math.isfinite(entry["train_loss"]) for entry in entries_of(job))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_gradient_that_is_not_finite_is_skipped(make_job: MakeJob, value: float, optimizer: str) -> None:
    job = make_job(4, training__log_every=1, optimizer__name=optimizer)
    calls: list[int] = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * value if len(calls) == 2 else gradient

    job.model.lm_head.weight.register_hook(spoil)
    held: dict[int, dict[str, torch.Tensor]] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            held[event.done] = snapshot(job)

    job.listen = listen
    fit(job, State())
    assert [row["step"] for row in rows_of(job) if row.get("event") == "bad_step"] == [1]
    for name, tensor in held[1].items():
        assert torch.equal(tensor, held[2][name]), name


def test_bad_steps_in_a_row_end_the_run_and_others_do_not(make_job: MakeJob) -> None:
    scattered = make_job(10, training__max_bad_steps=3)
    poison(scattered, {1, 2, 4, 5, 7, 8})
    assert fit(scattered, State()) == "complete"
    row = make_job(10, training__max_bad_steps=3)
    poison(row, {1, 2, 3, 4, 5, 6, 7, 8, 9})
    state = State()
    assert fit(row, state) == "not finite"
    assert state.step == 4
    assert (row.run.path / "best").resolve().name == "step-00000000"
    assert runs.verify(row.run.path / "best") == []


@pytest.mark.parametrize("held_out", [True, False])
def test_weights_beyond_repair_end_the_run_with_an_earlier_best(make_job: MakeJob, held_out: bool) -> None:
    job = make_job(12, evaluation__every=4, training__log_every=1)
    job.validation = job.validation if held_out else None
    step = job.optimizers.step

    def update(rate: float) -> None:
        step(rate)
        if len(entries_of(job)) == 7:
            with torch.no_grad():
                job.model.model.embed_tokens.weight.fill_(math.nan)

    job.optimizers.step = update
    assert fit(job, State()) == "not finite"
    assert entries_of(job)[-1]["step"] == 7  # of the update before the weights broke
    assert (job.run.path / "best").resolve().name == "step-00000004"


def test_float16_scales_the_loss_and_an_overflow_halves_the_scale(make_job: MakeJob) -> None:
    exact, half = make_job(8), make_job(8, device__precision="float16", training__max_bad_steps=1)
    poison(half, {2, 3})
    fit(exact, State())
    state = State(scale=SCALE_START)
    # overflows while the scale can still be halved are not bad data, and do not end the run
    assert fit(half, state) == "complete"
    bad = [row for row in rows_of(half) if row.get("event") == "bad_step"]
    assert [(row["step"], row["scale"]) for row in bad][:2] == [(2, SCALE_START), (3, SCALE_START / 2)]
    assert state.scale == SCALE_START / 2 ** len(bad)
    assert state.scale_streak == 8 - 1 - bad[-1]["step"]
    assert entries_of(half)[1]["train_loss"] == pytest.approx(entries_of(exact)[1]["train_loss"], rel=0.01)
    # the norm of the gradients is that of the unscaled ones
    assert entries_of(half)[1]["grad_norm"] == pytest.approx(entries_of(exact)[1]["grad_norm"], rel=0.05)
    assert entries_of(half)[-1]["train_loss"] < entries_of(half)[0]["train_loss"]


def spoil_after(job: Job, last_good: int) -> None:
    """From the update `last_good` on, weights are noise: validation can only get worse."""
    step, draws, made = job.optimizers.step, torch.Generator().manual_seed(0), [0]

    def update(rate: float) -> None:
        step(rate)
        made[0] += 1
        if made[0] > last_good:
            with torch.no_grad():
                for parameter in job.model.parameters():
                    parameter.add_(0.5 * torch.randn(parameter.shape, generator=draws))

    job.optimizers.step = update


def test_training_stops_after_patience_evaluations_without_improvement(make_job: MakeJob) -> None:
    job = make_job(40, evaluation__every=4, training__patience=2)
    spoil_after(job, 8)
    state = State()
    assert fit(job, state) == "early stopping"
    entries = entries_of(job)
    assert entries[-1]["step"] == state.step == 16
    lowest = min((entry for entry in entries if entry["val_loss"] is not None), key=lambda entry: entry["val_loss"])
    assert lowest["step"] == 8
    assert (job.run.path / "best").resolve() == (job.run.path / "step-00000008").resolve()


def test_the_best_checkpoint_is_kept_however_old_it_is(make_job: MakeJob) -> None:
    job = make_job(24, evaluation__every=4, checkpoint__every=2, checkpoint__keep=1)
    spoil_after(job, 4)
    assert fit(job, State()) == "complete"
    assert list(runs.published(job.run.path)) == [0, 4, 24]
    assert (job.run.path / "best").resolve().name == "step-00000004"


def test_without_validation_best_is_the_newest_evaluated_and_patience_does_not_count(
    make_job: MakeJob,
) -> None:
    job = make_job(12, evaluation__every=4, checkpoint__every=1, checkpoint__keep=1, training__patience=2)
    job.config.checkpoint.asynchronous = False
    job.validation = None
    best: dict[int, str] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and (job.run.path / "best").exists():
            best[event.done] = (job.run.path / "best").resolve().name

    job.listen = listen
    assert fit(job, State()) == "complete"
    assert best == {step: f"step-{(step - 1) // 4 * 4:08d}" for step in range(1, 13)}
    assert (job.run.path / "best").resolve().name == "step-00000012"
    assert all(entry["val_loss"] is None and entry["val_bits_per_byte"] is None for entry in entries_of(job))


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer.name": "adamw"},
        {"optimizer.name": "muon", "optimizer.clip": 0.0},
        {"schedule.shape": "cosine"},
        {"schedule.shape": "linear"},
        {"schedule.shape": "constant"},
        {"schedule.warmup": 0},
        {"schedule.warmup": 100},
        {"model.tied": True},
        {"model.arch": "llama"},
        {"model.heads": 4, "model.kv_heads": 2, "model.head_dim": 8},
        {"device.precision": "bfloat16"},
        {"training.tokens_per_update": 32},
        {"training.seed": 2**62},
    ],
    ids=str,
)
def test_every_choice_learns(make_job: MakeJob, settings: dict[str, Any]) -> None:
    job = make_job(12, **{key.replace(".", "__"): value for key, value in settings.items()})
    assert fit(job, State()) == "complete"
    entries = entries_of(job)
    assert entries[-1]["val_loss"] < entries[0]["val_loss"] - 0.1
    assert all(entry["learning_rate"] > 0 for entry in entries)
    assert entries[-1]["step"] == 12


@pytest.mark.parametrize("when", [1, 9, 25, 40])
def test_a_stop_anywhere_saves_where_the_run_was(make_job: MakeJob, when: int) -> None:
    """`poll` is called between microbatches and evaluation batches; whichever raises, a checkpoint is published."""
    whole = make_job(10, training__microbatch=2)
    fit(whole, State())
    job = make_job(10, training__microbatch=2)
    calls = [0]

    def poll() -> None:
        calls[0] += 1
        if calls[0] == when:
            raise Stopped("stopped by a test")

    job.poll = poll
    state = State()
    with pytest.raises(Stopped):
        fit(job, state)
    step = state.step
    assert step in runs.published(job.run.path)
    assert runs.verify(job.run.path / f"step-{step:08d}") == []
    from groundup.training import restore

    again = make_job(10, training__microbatch=2)
    again.run = job.run
    again.metrics = Metrics(job.run.path)
    again.metrics.resume(step)
    fit(again, restore(job.run.path / f"step-{step:08d}", again.model, again.optimizers))
    assert rows_of(again) == rows_of(whole)
    for name, tensor in snapshot(again).items():
        assert torch.equal(tensor, snapshot(whole)[name]), name
    # what a signal left behind goes once a scheduled checkpoint stands
    assert list(runs.published(job.run.path)) == list(runs.published(whole.run.path))


def test_every_evaluation_is_an_entry_a_checkpoint_and_a_probe(make_job: MakeJob) -> None:
    job = make_job(14, evaluation__every=4, checkpoint__every=100, training__log_every=100, checkpoint__keep=50)
    logged: list[Logged] = []
    job.listen = lambda event: logged.append(event) if isinstance(event, Logged) else None
    fit(job, State())
    evaluated = [0, 4, 8, 12, 14]
    assert [entry["step"] for entry in entries_of(job)] == evaluated
    assert all(entry["val_loss"] is not None for entry in entries_of(job))
    assert list(runs.published(job.run.path)) == evaluated
    probes = [json.loads(line) for line in (job.run.path / "probes.jsonl").read_text().splitlines()]
    assert [row["step"] for row in probes] == evaluated
    assert [event.entry["step"] for event in logged] == evaluated
    assert all(event.total_steps == 14 and "tokens_per_second" in event.rates for event in logged)
    samples = [json.loads(line)["step"] for line in (job.run.path / "samples.jsonl").read_text().splitlines()]
    assert samples == [0, 4, 8, 14]  # evaluations 0, 1, 2, (4 is also) the last
