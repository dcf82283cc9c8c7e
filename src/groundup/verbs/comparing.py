"""`compare`: runs beside each other, and whether one is better or only had the luckier seed."""

import hashlib
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from groundup.config import BUDGETS
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.insight.clock import TrainingClock
from groundup.insight.noise import CONFIDENCE, Noise, difference, evaluation_scatter, seed_noise
from groundup.reporting import draw_comparison
from groundup.runs import Run, read_entries
from groundup.verbs.request import PathLike, Paths, as_paths, plain

_SEED = "training.seed"
_SHAPING = ("model.", "optimizer.", "schedule.", "data.", "training.tokens_per_update", *BUDGETS)
# planned from the length that a clock gave: part of what a seed may change under --minutes
_BY_LENGTH = ("model.dropout", "schedule.warmup")


@dataclass
class _Compared:
    """A run, and what is compared of it."""

    name: str
    run: Run
    entries: list[dict[str, Any]]
    settings: dict[str, Any]
    figures: dict[str, Any]

    @property
    def bits(self) -> float:
        return self.figures["bits_per_byte"]

    @property
    def alike(self) -> str:
        """Equal for runs that differ in nothing but their seed."""
        request = self.run.info.get("request")
        asked = request["settings"] if request else {"run": self.name}
        shaping = {k: v for k, v in self.settings.items() if k.startswith(_SHAPING) and k not in _BY_LENGTH}
        corpus = self.run.info.get("corpus", {}).get("fingerprint")
        changes = [[row.get(name) for name in ("step", "key", "now")] for row in self.run.info.get("changes", [])]
        return json.dumps([_without_seed(asked), _without_seed(shaping), corpus, changes], sort_keys=True, default=str)


def compare(runs: Paths, *, picture: PathLike) -> dict[str, Any]:
    """Settings that differ and final figures of two or more runs, their curves drawn into `picture`, and a judgement.

    Judged are finished runs whose final figures are of the same held-out text, whatever their tokenizers: bits per byte
    of all of it, by the best checkpoint. Runs that differ only in `training.seed` are one group, and what groups of two
    or more scatter by is the noise that a difference between groups is held against (`insight.noise`: pooled variance,
    Student's t, an interval of 95% for all pairs of groups together, as the best is known by its figure alone). Where
    no two runs differ only in the seed, one run each cannot tell; the scatter of their evaluations is given for what it
    is, a lower bound.

    Returns `settings` (key -> value in each run), `runs` (figures of each), `noise`, `judgements`, `note` and
    `picture`. Raises UserError for fewer than two runs, and for one that has not trained yet.
    """
    runs, picture = as_paths(runs), Path(picture)
    if len({path.resolve() for path in runs}) < max(2, len(runs)):
        raise UserError("comparing needs two different runs or more", fix="groundup compare RUN RUN...")
    compared = [_open(path) for path in runs]
    keys = sorted({key for one in compared for key in one.settings})
    settings = {
        key: [one.settings.get(key) for one in compared]
        for key in keys
        if len({repr(one.settings.get(key)) for one in compared}) > 1
    }
    noise, judgements, words = _judge(compared)
    try:
        draw_comparison({one.name: one.entries for one in compared}, picture)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=picture, fix="give another --out"
        ) from None
    return {
        "settings": settings,
        "runs": [one.figures for one in compared],
        "noise": noise,
        "judgements": judgements,
        "note": "\n".join(words),
        "picture": str(picture),
    }


def _open(path: Path) -> _Compared:
    run = Run.open(path)
    entries = read_entries(path)
    if not entries:
        raise UserError(
            "the run has no figures yet", where=path, fix=f"`groundup resume {shlex.quote(str(path))}` continues it"
        )
    clock = TrainingClock(path)
    entries = [{**entry, "seconds": clock.seconds(entry["step"])} for entry in entries]
    settings = plain(run.config().values()) if (path / "config.toml").is_file() else {}
    return _Compared(str(path), run, entries, settings, _figures(str(path), run, entries))


def _figures(name: str, run: Run, entries: list[dict[str, Any]]) -> dict[str, Any]:
    evaluated = [entry for entry in entries if entry["val_loss"] is not None]
    best = min(evaluated, key=lambda entry: entry["val_loss"], default={})
    final = run.info.get("final")
    scored = final.get("validation") if isinstance(final, dict) else None
    bits = scored.get("bits_per_byte") if isinstance(scored, dict) else None
    return {
        "run": name,
        "status": run.info.get("status"),
        "parameters": run.info.get("plan", {}).get("parameters"),
        "steps": entries[-1]["step"],
        "tokens": entries[-1].get("tokens"),
        "seconds": entries[-1]["seconds"],
        "minutes": run.info.get("actual", {}).get("minutes"),
        "train_loss": entries[-1]["train_loss"],
        "val_loss": best.get("val_loss"),
        "val_perplexity": best.get("val_perplexity"),
        "val_accuracy": best.get("val_accuracy"),
        "val_bits_per_byte": best.get("val_bits_per_byte"),
        "best_step": best.get("step"),
        "bits_per_byte": bits if type(bits) is float else None,
    }


def _judge(compared: list[_Compared]) -> tuple[dict[str, Any] | None, list[dict[str, Any]], list[str]]:
    """(the noise, what is judged of whom, all of it in sentences)."""
    judged, words = [], list[str]()
    for one in compared:
        if one.figures["status"] != "finished":
            words.append(f"{one.name} is not finished ({one.figures['status']}): it is shown, not judged")
        elif one.figures["bits_per_byte"] is None:
            words.append(f"{one.name} has no validation text: it is shown, not judged")
        else:
            judged.append(one)
    if len(judged) < 2:
        return None, [], [*words, "there are no two finished runs with validation to judge"]
    if why := _other_texts(judged):
        return None, [], [*words, f"{why}: their figures are not comparable, and nothing is judged"]
    if len({one.run.info.get("corpus", {}).get("fingerprint") for one in judged}) > 1:
        words.append(
            "the corpora differ, in tokenizer or training text; the text that is held out is the same. Bits per byte"
            " compare; losses, perplexities and accuracies are per token, and only do where the tokens are the same"
        )
    groups = _groups(judged, words)
    noise = seed_noise([[one.bits for one in group] for group in groups])
    names = [_name(group) for group in groups]
    if noise:
        words.append(
            f"runs that differ only in the seed deviate by {noise.deviation:.4f} bits per byte"
            f" ({noise.freedom} degrees of freedom)"
        )
    if len(groups) == 1:
        mean = fmean(one.bits for one in groups[0])
        only = "they differ only in the seed" if len(groups[0]) > 1 else "they are the same run"
        return _noise_facts(noise), [], [*words, f"{only}: {mean:.4f} bits per byte on average, none is better"]
    judgements = []
    for other, name in zip(groups[1:], names[1:], strict=True):
        # the best is one of them by luck: the interval must hold for whichever pair could have been shown
        row, said = _against(groups[0], names[0], other, name, noise, math.comb(len(groups), 2))
        judgements.append(row)
        words.append(said)
    if noise is None:
        words.append(
            "one run each cannot tell a better setting from the luck of a seed; train each again with"
            " --set training.seed=1 and compare them all"
        )
    return _noise_facts(noise), judgements, words


def _against(
    best: list[_Compared], name: str, other: list[_Compared], its_name: str, noise: Noise | None, of: int
) -> tuple[dict[str, Any], str]:
    ours, theirs = [one.bits for one in best], [one.bits for one in other]
    amount = fmean(theirs) - fmean(ours)
    row: dict[str, Any] = {"better": name, "worse": its_name, "difference": amount, "runs": [len(ours), len(theirs)]}
    if not amount:
        return row | {"verdict": "equal"}, f"{name} and {its_name} have the same bits per byte"
    said = f"{name} is better than {its_name} by {amount:.4f}"
    if noise:
        found = difference(ours, theirs, noise, of=of)
        verdict = "more than seeds do" if found.beyond_seeds else "within what seeds do"
        row |= {"plus_minus": found.plus_minus, "confidence": CONFIDENCE, "verdict": verdict}
        return row, f"{said} ± {found.plus_minus:.4f} bits per byte ({CONFIDENCE:.0%}): {verdict}"
    scatters = [x for one in (*best, *other) if (x := evaluation_scatter(one.entries)) is not None]
    row |= {"evaluation_scatter": max(scatters, default=None), "verdict": "cannot tell"}
    if not scatters:
        return row, f"{said} bits per byte"
    held = "more than" if amount > 2 * 2**0.5 * max(scatters) else "within what"
    return row, (
        f"{said} bits per byte: {held} the evaluations of one run scatter by ({max(scatters):.4f}, which is less than"
        " what seeds do)"
    )


def _groups(judged: list[_Compared], words: list[str]) -> list[list[_Compared]]:
    """Runs that differ only in the seed together, the group with the lowest mean first; repetitions left out."""
    groups: dict[str, dict[Any, _Compared]] = {}
    for one in judged:
        group, seed = groups.setdefault(one.alike, {}), one.settings.get(_SEED)
        if seed in group:
            words.append(f"{one.name} repeats {group[seed].name}, seed and all: it counts once")
        else:
            group[seed] = one
    return sorted((list(group.values()) for group in groups.values()), key=lambda g: fmean(one.bits for one in g))


def _name(group: Sequence[_Compared]) -> str:
    return group[0].name if len(group) == 1 else f"{group[0].name} (mean of {len(group)} seeds)"


def _noise_facts(noise: Noise | None) -> dict[str, Any] | None:
    return {**asdict(noise), "from": "runs that differ only in the seed"} if noise else None


def _without_seed(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != _SEED}


def _other_texts(judged: list[_Compared]) -> str | None:
    """Why the final figures are not of one text; None where they are."""
    facts = [one.run.info.get("corpus", {}) for one in judged]
    if len({fact.get("fingerprint") for fact in facts}) == 1:
        return None
    if len({fact.get("validation_bytes") for fact in facts}) > 1:
        return "the runs have different corpora: they held out different texts"
    try:
        texts = {_held_out(one.run) for one in judged}
    except (UserError, OSError, ValueError) as error:
        return f"the runs have different corpora, and whether they held out the same text cannot be seen ({error})"
    return "the runs have different corpora: they held out different texts" if len(texts) > 1 else None


def _held_out(run: Run) -> str:
    """A name for the text that the final figures are of: its documents, in whatever order and of whatever tokens."""
    corpus = Corpus(run.corpus)
    decode = corpus.tokenizer.decode_bytes
    digests = sorted(hashlib.sha256(decode(tokens.tolist())).digest() for tokens in corpus.validation_documents())
    return hashlib.sha256(b"".join(digests)).hexdigest()
