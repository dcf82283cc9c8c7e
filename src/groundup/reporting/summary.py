"""The end of a run on one screen: what was trained, how well, against what, and what to type next."""

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from groundup.reporting.canvas import unicode_shown
from groundup.reporting.diagnosis import finding_lines
from groundup.reporting.run_files import RunFiles, read_run
from groundup.reporting.terminal_curve import terminal_curve
from groundup.reporting.wording import between, clean, duration, finite, number, percent, shorten, size, whole

ARTIFACTS = (
    ("report.html", "the whole story on one page"),
    ("training_curve.png", "loss and learning rate over steps"),
    ("loss_by_epoch.png", "loss by epoch"),
    ("training_metrics.json", "the figures behind the plots"),
    ("samples.jsonl", "texts drawn while training"),
    ("progress.log", "one line per logged step"),
    ("config.toml", "all settings; valid as --config"),
    ("corpus/ledger.jsonl", "what became of every file"),
)


def summarize(run_dir: Path, width: int | None = None) -> str:
    """The summary of a run directory as plain text of about `width` columns; what is missing is left out.

    Without a width it is the terminal's, or 80 where standard output is not a terminal."""
    return "\n".join(line.plain.rstrip() for line in _lines(read_run(run_dir), width or _columns())) + "\n"


def summary(run_dir: Path, width: int | None = None) -> Group:
    """The same, for a rich console."""
    return Group(*_lines(read_run(run_dir), width or _columns()))


def plan_rows(files: RunFiles) -> list[tuple[str, str, str]]:
    """(quantity, planned with its interval, actual) where at least one of them is known."""
    plan, scores = files.section("plan"), files.section("final").get("validation")
    actual = dict(files.section("actual"))
    if isinstance(scores, dict):
        actual["bits_per_byte"] = scores.get("bits_per_byte")
    expected = plan["expected"] if isinstance(plan.get("expected"), dict) else {}
    rows = []
    for key, label, write in (
        ("steps", "steps", whole),
        ("tokens", "training tokens", whole),
        ("epochs", "epochs", lambda v: number(v, 2)),
        ("minutes", "minutes", lambda v: number(v, 1)),
        ("memory_bytes", "memory", size),
        ("bits_per_byte", "bits per byte", number),
        ("tokens_per_second", "tokens per second", whole),
        ("reading_seconds", "time reading", duration),
        ("training_seconds", "time training", duration),
    ):
        planned, interval = write(plan.get(key)), expected.get(key)
        if isinstance(interval, dict) and finite(interval.get("expected")):
            planned = between(interval, write)
        if planned != "–" or finite(actual.get(key)):
            rows.append((label, planned, write(actual.get(key))))
    return rows


def baseline_rows(files: RunFiles) -> list[tuple[str, str, str]]:
    """(name, bits per byte, loss in nats per token) of the baselines and, last, the model."""
    return [
        (name, number(row.get("bits_per_byte")), number(row.get("loss"))) for name, row in files.baselines().items()
    ]


def loss_rows(files: RunFiles) -> list[tuple[str, str, str, str]]:
    """("training" or "validation", initial, final, best with its step)."""
    rows = []
    for name, key in (("training", "train_loss"), ("validation", "val_loss")):
        losses = files.losses(key)
        if losses:
            best = f"{number(losses['best'])} at step {whole(losses['best_step'])}"
            rows.append((name, number(losses["initial"]), number(losses["final"]), best))
    return rows


def sample_note(files: RunFiles) -> str:
    """Of how much of the held-out text the validation losses above are, where it is not all of it; else empty."""
    sample = files.validation_sample()
    if not sample:
        return ""
    scored, held_out = map(whole, sample)
    return f"validation while training: of a sample of about {scored} of the {held_out} held-out tokens"


def best_checkpoint(files: RunFiles) -> Path | None:
    """Where the checkpoint with the lowest validation loss lies."""
    name = files.section("best").get("checkpoint")
    return files.root / str(name) if name else None


def next_commands(root: Path) -> list[str]:
    """Commands to type next, ready to paste into a shell."""
    run = shlex.quote(str(root))
    return [
        f'groundup generate {run} --prompt "Once upon a time"',
        f"groundup chat {run}",
        f"groundup evaluate {run}",
    ]


def other_findings(files: RunFiles) -> list[dict]:
    """What the diagnosis found beside what the verdict quotes, the severe ones first."""
    verdict = files.verdict()
    said = verdict.evidence if verdict else None
    return [finding for finding in files.findings() if finding.get("evidence") != said]


def status_text(files: RunFiles) -> str:
    """`finished: all 6,000 steps are done`."""
    status, reason = files.run.get("status"), files.run.get("stop_reason")
    return f"{clean(status or 'unknown state')}{f': {clean(reason)}' if reason else ''}"


def _lines(files: RunFiles, width: int) -> Iterator[Text]:
    plan, actual, corpus = files.section("plan"), files.section("actual"), files.section("corpus")
    yield Text.assemble((f"Run {clean(files.root)}", "bold"), "  ", (status_text(files), "dim"))

    last = files.entries[-1] if files.entries else {}
    facts = [
        ("steps", whole(actual.get("steps", last.get("step")))),
        ("parameters", whole(plan.get("parameters"))),
        ("tokens", whole(actual.get("tokens", last.get("tokens")))),
        ("files", whole(corpus.get("files"))),
        ("vocabulary", whole(corpus.get("vocab_size"))),
    ]
    yield from _facts([(label, value) for label, value in facts if value != "–"], width)

    if losses := loss_rows(files):
        yield from _heading("Loss (nats per token)")
        yield from _table([("", "initial", "final", "best"), *losses], right=(1, 2))
    if note := sample_note(files):
        yield from _wrapped(note, width)
    if best := best_checkpoint(files):
        yield Text.assemble(("  best checkpoint  ", "dim"), str(best))
    scores = files.section("final").get("validation")
    if isinstance(scores, dict):
        figures = (("loss", 3), ("perplexity", 1), ("accuracy", 3), ("bits_per_byte", 3))
        shown = ", ".join(f"{key.replace('_', ' ')} {number(scores.get(key), digits)}" for key, digits in figures)
        yield from _wrapped(f"{_scored(scores, corpus)} held-out tokens: {shown}", width, indent=" " * 4)

    if len(files.entries) > 1:
        yield Text("")
        unicode = unicode_shown(os.environ, getattr(sys.stdout, "encoding", None))
        for line in terminal_curve(files.entries, min(width - 2, 78), 14, color=True, unicode=unicode).split("\n"):
            yield Text("  ") + Text.from_ansi(line)
    if verdict := files.verdict():
        yield from _heading(f"Verdict: {clean(verdict.reading)}")
        for text in (verdict.evidence, verdict.advice):
            yield from _wrapped(clean(text), width)
    if findings := other_findings(files):
        yield from _heading("Diagnosis")
        for finding in findings:
            for line in finding_lines(finding, shlex.quote(str(files.root)), width - 2):
                yield Text(f"  {line}")

    if baselines := baseline_rows(files):
        same = " on the same tokens" if isinstance(scores, dict) else ""
        yield from _heading(f"Against the baselines{same} (lower is better)")
        yield from _table([("", "bits per byte", "loss"), *baselines], right=(1, 2))

    if pairs := files.before_after():
        yield from _heading("Likeliest next tokens, untrained and trained")
        for prompt, before, after in pairs:
            yield Text(f"  {shorten(prompt, width - 4)}", style="bold")
            for label, tops in (("before", before), ("after ", after)):
                yield Text.assemble((f"    {label}  ", "dim"), shorten(_tops_text(tops), max(width - 12, 20)))
    if files.samples:
        yield from _heading(f"Samples at step {whole(files.samples[-1].get('step'))}")
        for sample in _last_samples(files.samples):
            text = shorten(sample.get("text", ""), 4 * width)
            yield from _wrapped(f"{shorten(sample.get('prompt', ''), width)} │{text}", width, indent="    ")

    if rows := plan_rows(files):
        yield from _heading("Plan and actual")
        yield from _table([("", "planned", "actual"), *rows], right=(1, 2))
    made = [(str(files.root / name), meaning) for name, meaning in ARTIFACTS if (files.root / name).exists()]
    if made:
        yield from _heading("Files")
        yield from _table(made, right=())
    yield from _heading("Next")
    for command in next_commands(files.root):
        yield Text(f"  {command}", style="cyan")


def _scored(scores: Mapping[str, Any], corpus: Mapping[str, Any]) -> str:
    """`of all 5,848`, or `of 1,000,001 of the 3,200,000`: the end of a run does not score more than a million."""
    scored, held_out = scores.get("tokens"), corpus.get("validation_tokens")
    if not isinstance(scored, int) or not isinstance(held_out, int):
        return f"of {whole(scored)}"
    return f"of all {whole(scored)}" if scored >= held_out else f"of {whole(scored)} of the {whole(held_out)}"


def _columns() -> int:
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def _wrapped(text: str, width: int, indent: str = "  ") -> Iterator[Text]:
    """`text` in lines of at most `width` columns; only a word longer than a line is broken."""
    room = max(width, 24)
    for line in textwrap.wrap(text, room, initial_indent="  ", subsequent_indent=indent, break_on_hyphens=False):
        yield Text(line)


def _last_samples(samples: Sequence[dict]) -> list[dict]:
    return [sample for sample in samples if sample.get("step") == samples[-1].get("step")][:4]


def _tops_text(tops: Sequence[tuple[str, float]]) -> str:
    return "  ".join(f"{token!r} {percent(probability)}" for token, probability in tops)


def _heading(text: str) -> Iterator[Text]:
    yield Text("")
    yield Text(text, style="bold")


def _facts(facts: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """`label value` side by side, in as many lines as they take."""
    line = Text(" ")
    for label, value in facts:
        added = Text.assemble(" ", (f"{label} ", "dim"), value, "  ")
        if len(line) > 1 and len(line) + len(added) - 2 > width:
            yield line
            line = Text(" ")
        line.append_text(added)
    if facts:
        yield line


def _table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[Text]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number_of_row, row in enumerate(rows):
        cells = [
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield Text("  " + "   ".join(cells), style="dim" if number_of_row == 0 and not row[0] else "")
