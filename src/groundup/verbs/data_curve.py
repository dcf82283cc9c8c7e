"""`scaling`: how the loss falls with the amount of text, measured on one's own corpus, and what more would bring."""

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundup.config import BUDGETS, Config, load_config
from groundup.cores import process_of_run
from groundup.corpus import Corpus, prepare_corpus
from groundup.corpus.subset import write_subset
from groundup.documents import check_servers
from groundup.errors import Stopped, UserError
from groundup.events import Listener, Notice, nobody
from groundup.insight.data_curve import diverged, read_runs
from groundup.insight.subsets import nested_parts
from groundup.parallel import decide_compute
from groundup.planning.calibrate import TRAINING_SHARE, matrix_flops_per_second
from groundup.planning.sizes import DIAL, SHAPES, Size, for_compute
from groundup.reporting import draw_scaling
from groundup.runs import locked, read_json, stop_on_signals, write_atomic
from groundup.verbs.data_points import CHAIN_SHARE, Part, Points, first_steps, seconds_spent, shares_of_time
from groundup.verbs.exhaustion import disk_errors_told
from groundup.verbs.request import (
    PathLike,
    Paths,
    adopt_corpus,
    as_inputs,
    as_request,
    configure,
    differences,
    new_directory,
    plain,
    prepared_corpus,
)

SHARES = (32, 16, 8, 4, 2, 1)
SEEDS = 3
EPOCHS = 8  # that the whole corpus should be read in one try: a larger model would be stopped long before its best
TRY_SHARE = 0.2  # of the time, for that try
WINDOWS, FEWEST_TOKENS = 8, 1024  # a part that is smaller holds no text to learn from
LEAST_CONTEXT, LEAST_UPDATE = 32, 256
PATIENCE = 5  # evaluations without gain, as the planner chooses under a clock
_MINUTES = "training.minutes"


def scaling(
    paths: Paths,
    *,
    minutes: float | None = None,
    out: PathLike = "scaling",
    seeds: int = SEEDS,
    size: str | None = None,
    config: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    listen: Listener = nobody,
    started: float | None = None,
) -> dict[str, Any]:
    """Train one model on 1/32, 1/16, ... and all of the training documents at `paths`, and fit loss to bytes of text.

    The parts are nested, by document (or by block, where the corpus cuts long documents), and drawn for each seed;
    validation documents, tokenizer and model are the same for all. The model is the largest that the planner would take
    and that can read all of the text EPOCHS times in a share of the time. On each part training is repeated, each time
    twice as long with dropout as the planner chooses, until a longer run gains nothing; the figure is the lowest bits
    per byte of the held-out text. `seeds` runs differ in the draw of the documents, the weights and the batches: on the
    smallest parts first, on larger ones while there is time. The held-out text stops training and chooses the length,
    so all figures are a little low, and alike so. A run whose numbers do not stay finite is no point; the next part's
    turn comes.

    Returns `points`, `runs`, `diverged`, `left_out`, `fit` (`insight.scaling`) or `no_fit`, `notes`, `corpus`,
    `settings`, `picture` and `seconds`; the same is in OUT/scaling.json. `minutes` is the wall clock of the whole
    command. A call that was stopped is continued by the same call, which may give it other `minutes`; all it did is
    kept in OUT/points.jsonl. Raises UserError as `train` does, and where nothing is held out; Stopped when a signal
    came.
    """
    began = time.monotonic() if started is None else started
    if process_of_run()[1] > 1:
        raise UserError("runs in one process", where="groundup scaling", fix="start it without torchrun")
    if seeds < 1:
        raise UserError(f"{seeds} seeds are none", where="--seeds", fix="give 1 or more")
    asked = load_config(Path(config) if config else None, settings)
    if given := [key for key in BUDGETS if asked.get(key)]:
        raise UserError("is chosen for each part", where=given[0], fix="leave it out; --minutes limits the command")
    inputs = as_inputs(paths)
    if not inputs:
        raise UserError("no documents were given", fix="groundup scaling PATH --minutes M")
    resolved = configure(config, settings, size, {"minutes": minutes})
    if minutes is None:
        listen(Notice(f"no budget was given: {resolved.training.minutes:g} minutes; --minutes sets one"))
    check_servers(inputs, resolved.data.query)
    home = Path(out)
    request = as_request(inputs, resolved)
    request["settings"] = {k: v for k, v in request["settings"].items() if k != _MINUTES} | {"seeds": seeds}
    with disk_errors_told(home):
        _claim(home, request)
        try:
            with locked(home), stop_on_signals() as stop:
                corpus = _corpus(home, inputs, resolved, listen, stop.poll)
                deadline = began + 60 * (resolved.training.minutes or 0.0) - seconds_spent(home)
                numbers = range(resolved.training.seed, resolved.training.seed + seeds)
                parts, left_out = _parts(home, corpus, numbers)
                fixed = _fixed(home, resolved, corpus, parts, deadline - time.monotonic())
                points = Points(home, fixed, fixed["training.tokens_per_update"], deadline, stop, listen)
                settled = _measure(points, parts)
                return _result(home, corpus, points, settled, left_out, fixed)
        except Stopped as stopped:
            first = str(stopped).split("\n")[0]  # without the words on the run that was under way
            raise Stopped(first, fix="run the same command again: finished runs are kept") from None


def _claim(home: Path, request: dict[str, Any]) -> None:
    """Make `home` the directory of `request`, unless it is; anything else there is refused."""
    file = home / "request.json"
    if file.is_file():
        before = read_json(file)
        if found := differences(before if isinstance(before, dict) else {}, request):
            raise UserError(
                "holds another data curve: " + "; ".join(found),
                where=home,
                fix=f"give another --out than {shlex.quote(str(home))}, or the same documents and settings",
            )
        return
    new_directory(home, "data curve", file.name)
    write_atomic(file, json.dumps(request, indent=1, ensure_ascii=False) + "\n")


def _corpus(home: Path, inputs: Any, resolved: Config, listen: Listener, poll: Any) -> Corpus:
    """The whole corpus: the one that was given, else made in `home`, once."""
    if path := prepared_corpus(inputs):
        corpus = Corpus(path.resolve())
    elif (home / "corpus" / "manifest.json").is_file():
        corpus = Corpus(home / "corpus")
    else:
        corpus = prepare_corpus(inputs, home / "corpus", resolved, listen=listen, poll=poll)
    adopt_corpus(resolved, corpus)
    if not len(corpus.validation):
        raise UserError("nothing is held out to measure on", where="data.validation", fix="leave it out, or give 0.1")
    return corpus


def _parts(home: Path, corpus: Corpus, seeds: range) -> tuple[list[list[Part]], list[dict[str, str]]]:
    """For each seed the parts, smallest first, and which shares are left out, and why."""
    lengths = [int(n) for n in _lengths(corpus)]
    drawn = [nested_parts(lengths, [1 / n for n in SHARES], seed) for seed in seeds]
    least = max(FEWEST_TOKENS, WINDOWS * LEAST_CONTEXT)
    parts: list[list[Part]] = [[] for _ in seeds]
    left_out = []
    for number, share in enumerate(SHARES):
        name, chosen = f"1/{share}" if share > 1 else "all", [part[number] for part in drawn]
        tokens = [sum(lengths[n] for n in part) for part in chosen if part is not None]
        if len(tokens) < len(seeds):
            left_out.append({"share": name, "why": "the documents are too long for a part of this size"})
        elif min(tokens) < least:
            why = f"it would have {min(tokens):,} tokens, fewer than {least:,}"
            left_out.append({"share": name, "why": why})
        else:
            for own_parts, seed, part in zip(parts, seeds, chosen, strict=True):
                assert part is not None
                place = home / "parts" / f"{name.replace('/', '-')}-seed{seed}"
                place.parent.mkdir(exist_ok=True)
                own = corpus if share == 1 else write_subset(corpus, part.tolist(), place)
                own_parts.append(Part(name, 1 / share, seed, own, len(part)))
    if not parts[0]:
        raise UserError(
            f"the training text has only {len(corpus.train):,} tokens",
            where=corpus.path,
            fix=f"give more text: {least:,} tokens at least, and {32 * least:,} for all parts",
        )
    return parts, left_out


def _lengths(corpus: Corpus) -> Any:
    ends = corpus.train.document_ends
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _fixed(home: Path, resolved: Config, corpus: Corpus, parts: list[list[Part]], seconds: float) -> dict[str, Any]:
    """The settings of every run. What a clock decides of them is on the disk before the first run, and stays."""
    file = home / "settings.json"
    if file.is_file():
        return read_json(file)
    asked = {k: v for k, v in plain(resolved.values()).items() if k in resolved.origins and k != _MINUTES}
    fixed = {k: v for k, v in asked.items() if not k.startswith("data.") and k not in resolved.planned}
    size = DIAL[resolved.size] if resolved.size else _size(resolved, corpus, seconds)
    smallest = min(part[0].tokens for part in parts)
    context = max(min(size.context, _power_of_two(smallest // WINDOWS)), LEAST_CONTEXT)
    update = max(min(size.tokens_per_update, _power_of_two(smallest)), LEAST_UPDATE, context)
    own = {
        "model.layers": size.layers,
        "model.width": size.width,
        "model.context": context,
        "training.tokens_per_update": update,
        "training.patience": PATIENCE,
        "samples.max_new_tokens": 8,
        "checkpoint.keep": 1,
    }
    fixed = {**own, **fixed}
    write_atomic(file, json.dumps(fixed, indent=1) + "\n")
    return fixed


def _size(config: Config, corpus: Corpus, seconds: float) -> Size:
    """The size that the planner takes for TRY_SHARE of the time, or the largest below it that reads the whole corpus
    EPOCHS times in it."""
    speed = matrix_flops_per_second(decide_compute(config)) * TRAINING_SHARE
    flops = speed * max(TRY_SHARE * seconds, 1.0)
    tokens = len(corpus.train)
    planned, _ = for_compute(flops, tokens)
    for size in reversed(SHAPES):
        weights = size.block_parameters + size.width * corpus.tokenizer.vocab_size
        if size.block_parameters <= planned.block_parameters and 6 * weights * EPOCHS * tokens <= flops:
            return size
    return min(planned, SHAPES[0], key=lambda size: size.block_parameters)


def _power_of_two(n: int) -> int:
    return 1 << (max(n, 1).bit_length() - 1)


def _measure(points: Points, parts: list[list[Part]]) -> dict[str, tuple[int, bool]]:
    """Do all runs for which there is time; the steps that were best for each share, and whether others gain nothing."""
    found: dict[str, tuple[int, bool]] = {}
    begun: list[tuple[Part, int]] = []
    steps = first_steps(parts[0][0].tokens, points.tokens_per_step)

    def look(part: Part, steps: int, share: float) -> bool:
        tries, at_best = points.search(part, steps, share)
        if good := [row for row in tries if not diverged(row)]:
            found[part.share] = (min(good, key=lambda row: row["bits_per_byte"])["steps"], at_best)
        return bool(tries)

    for part, share in zip(parts[0], shares_of_time([part.fraction for part in parts[0]]), strict=True):
        begun.append((part, steps))
        if not look(part, steps, share):
            break
        steps, _ = found.get(part.share, (steps, False))
    for part, first in begun:  # what is left of the time for them goes to those that still gain
        if part.share in found and not found[part.share][1]:
            look(part, first, CHAIN_SHARE)
    for others in parts[1:]:
        for part in others:
            if part.share in found and points.run(part, found[part.share][0]) is None:
                break
    return found


def _result(
    home: Path,
    corpus: Corpus,
    points: Points,
    settled: dict[str, tuple[int, bool]],
    left_out: list[dict[str, str]],
    fixed: dict[str, Any],
) -> dict[str, Any]:
    manifest = corpus.manifest
    found = read_runs(points.rows, settled, manifest["train_bytes"])
    notes = [f"{row['share']} is left out: {row['why']}" for row in left_out] + found["notes"]
    if points.out_of_time:
        notes.append("the time was not enough for all runs; the same command with more --minutes goes on")
    result = {
        "paths": read_json(home / "request.json")["paths"],
        "corpus": {
            "fingerprint": manifest["fingerprint"],
            "documents": len(corpus.train.document_ends),
            **{
                f"{split}_{unit}": manifest[f"{split}_{unit}"]
                for split in ("train", "validation")
                for unit in ("bytes", "tokens")
            },
        },
        "parameters": points.rows[0]["parameters"] if points.rows else None,
        "settings": fixed,
        **found,
        "left_out": left_out,
        "notes": notes,
        "picture": str(home / "scaling.png"),
        "seconds": round(seconds_spent(home), 1),
    }
    write_atomic(home / "scaling.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    draw_scaling(result, home / "scaling.png")
    return result
