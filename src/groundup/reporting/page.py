"""report.html: a run's whole story on one self-contained page, with no script and nothing to fetch.

The texts on it come from documents, file names and a model, so every one of them is escaped.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundup.reporting.curves import epoch_figure, replace_file, svg, training_figure
from groundup.reporting.markup import esc, facts, section, sentence, table
from groundup.reporting.run_files import Ledger, RunFiles, read_run
from groundup.reporting.summary import (
    baseline_rows,
    best_checkpoint,
    loss_rows,
    next_commands,
    other_findings,
    plan_rows,
    sample_note,
    status_text,
)
from groundup.reporting.terminal import amount_text
from groundup.reporting.wording import duration, finite, number, percent, short, shorten, size, whole

_MOST_SAMPLES = 24


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into the run directory and return its path; sections without files are left out."""
    page = run_dir / "report.html"
    replace_file(page, render_page(read_run(run_dir)).encode("utf-8"))
    return page


def render_page(files: RunFiles) -> str:
    """The page as HTML text."""
    name, version = esc(files.root.resolve().name), esc(files.section("versions").get("groundup", ""))
    sections = (
        _headline(files),
        _verdict(files),
        _curves(files),
        _losses(files),
        _baselines(files),
        _before_after(files),
        _samples(files),
        _plan(files),
        _corpus(files),
        _machine(files),
        _commands(files),
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name} · groundup</title>
<style>
{Path(__file__).with_name("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<p class="eyebrow">groundup · training report</p>
<h1>{name}</h1>
<p class="lead">{_lead(files)}</p>
</header>
<main>
{"".join(sections)}</main>
<footer>Made by groundup {version} from the files in this run's directory.</footer>
</body>
</html>
"""


def _lead(files: RunFiles) -> str:
    corpus = files.section("corpus")
    parts = [status_text(files)]
    if finite(corpus.get("files")):
        parts.append(f"trained on {amount_text(corpus['files'], 'files')}, {size(corpus.get('train_bytes'))} of text")
    if created := files.run.get("created"):
        parts.append(f"begun {str(created)[:16].replace('T', ' ')}")
    return esc(". ".join(part[:1].upper() + part[1:] for part in parts)) + "."


def _headline(files: RunFiles) -> str:
    plan, actual, best = files.section("plan"), files.section("actual"), files.section("best")
    last = files.entries[-1] if files.entries else {}
    model = files.baselines().get("this model", {})
    val = files.losses("val_loss")
    tokens, steps = actual.get("tokens", last.get("tokens")), actual.get("steps", last.get("step"))
    epochs = f"{number(actual.get('epochs'), 1)} epochs" if "epochs" in actual else ""
    speed = actual.get("tokens_per_second")
    best_loss, best_step = best.get("val_loss", val.get("best")), best.get("step", val.get("best_step"))
    figures = [
        ("parameters", short(plan.get("parameters")), ""),
        ("training tokens", short(tokens), epochs),
        ("steps", whole(steps), ""),
        ("time", duration(actual["minutes"] * 60) if finite(actual.get("minutes")) else "–",
         f"{short(speed)} tokens/s" if finite(speed) else ""),
        ("validation loss", number(best_loss), f"best, at step {whole(best_step)}"),
        ("bits per byte", number(model.get("bits_per_byte")), "validation"),
    ]  # fmt: skip
    cells = [
        f"<div><dt>{label}</dt><dd>{value}{f'<small>{esc(note)}</small>' if note else ''}</dd></div>"
        for label, value, note in figures
        if value != "–"
    ]
    return f'<dl class="figures">{"".join(cells)}</dl>\n' if cells else ""


def _verdict(files: RunFiles) -> str:
    verdict = files.verdict()
    if verdict is None:
        return ""
    kind = verdict.reading if verdict.reading in ("healthy", "diverging", "overfitting") else ""
    reading = esc(verdict.reading[:1].upper() + verdict.reading[1:])
    return (
        f'<section class="verdict {kind}"><strong>{reading}</strong>'
        f"<p>{sentence(verdict.evidence)}</p><p>{sentence(verdict.advice)}</p></section>\n" + _findings(files)
    )


def _findings(files: RunFiles) -> str:
    rows = [
        [
            f"<b>{esc(finding.get('rule', ''))}</b> ({esc(finding.get('severity', ''))})",
            sentence(str(finding.get("evidence", ""))),
            sentence(str(finding.get("remedy", ""))),
        ]
        for finding in other_findings(files)
    ]
    return section("Diagnosis", table(("sign", "evidence", "what to change"), rows)) if rows else ""


def _curves(files: RunFiles) -> str:
    if not files.entries:
        return ""
    steps = svg(training_figure(files.metrics(), files.chart_baselines(), most=1500), "training curve")
    parts = [f'<figure role="img" aria-label="Loss and learning rate over steps">{steps}</figure>\n']
    if len({entry["epoch"] for entry in files.entries if finite(entry.get("epoch"))}) > 1:
        epochs = svg(epoch_figure(files.entries), "loss by epoch")
        parts.append(f'<figure class="narrow" role="img" aria-label="Loss by epoch">{epochs}</figure>\n')
    return section("Learning", "".join(parts))


def _losses(files: RunFiles) -> str:
    rows = [[esc(cell) for cell in row] for row in loss_rows(files)]
    if not rows:
        return ""
    best = best_checkpoint(files)
    where = f'<p class="note">Best checkpoint: <code>{esc(best)}</code></p>' if best else ""
    note = sample_note(files)
    where = (f'<p class="note">{esc(note[:1].upper() + note[1:])}.</p>' if note else "") + where
    return table(("nats per token", "initial", "final", "best"), rows, numbers=(1, 2, 3)) + where


def _baselines(files: RunFiles) -> str:
    rows = baseline_rows(files)
    if not rows:
        return ""
    bits = [row.get("bits_per_byte") for row in files.baselines().values()]
    shares = [float(value) if value is not None and finite(value) else 0.0 for value in bits]
    most = max(shares) or 1.0
    body = ""
    for (name, shown, loss), share in zip(rows, shares, strict=True):
        us = ' class="us"' if name == "this model" else ""
        body += (
            f'<tr{us}><td>{esc(name)}</td><td class="n">{shown}</td><td class="n">{loss}</td>'
            f'<td class="wide"><span class="bar" style="width:{100 * share / most:.1f}%"></span></td></tr>'
        )
    rendered = (
        '<div class="scroll"><table><thead><tr><th>predictor</th><th class="n">bits per byte</th>'
        f'<th class="n">loss</th><th></th></tr></thead><tbody>{body}</tbody></table></div>\n'
    )
    return section("Against simple predictors", rendered, "On the held-out text; lower is better.")


def _before_after(files: RunFiles) -> str:
    blocks = []
    for prompt, before, after in files.before_after():
        halves = ""
        for kind, label, tops in (("before", "untrained", before), ("after", "trained", after)):
            bars = "".join(map(_token_bar, tops[:5]))
            halves += f'<div class="{kind}"><span class="when">{label}</span><ol>{bars}</ol></div>'
        blocks.append(f'<div class="probe"><h4 class="mono">{esc(prompt)} …</h4>{halves}</div>\n')
    if not blocks:
        return ""
    return section("Before and after", "".join(blocks), "The likeliest next tokens, as the model saw them.")


def _token_bar(top: tuple[str, float]) -> str:
    token, share = top
    width = min(100.0, max(0.0, 100 * share))
    bar = f'<span><span class="bar" style="width:{width:.1f}%"></span></span>'
    shown = shorten(token.replace(" ", "␣"), 24)
    return f'<li><span class="mono">{esc(shown)}</span>{bar}<span>{esc(percent(share))}</span></li>'


def _samples(files: RunFiles) -> str:
    shown = files.samples
    if len(shown) > _MOST_SAMPLES:  # the first ones, the last ones, and an even choice between them
        last = len(shown) - 1
        shown = [shown[round(i * last / (_MOST_SAMPLES - 1))] for i in range(_MOST_SAMPLES)]
    blocks = [
        f'<div class="sample"><div class="step">step {esc(whole(sample.get("step")))}</div><div class="text">'
        f"<b>{esc(sample.get('prompt', ''))}</b>{esc(str(sample.get('text', ''))[:4000])}</div></div>\n"
        for sample in shown
    ]
    note = "Prompts in bold; the rest is the model's."
    return section("From noise to text", "".join(blocks), note) if blocks else ""


def _plan(files: RunFiles) -> str:
    body = ""
    if rows := plan_rows(files):
        cells = [[esc(cell) for cell in row] for row in rows]
        body += table(("", "planned", "actual"), cells, numbers=(1, 2))
    decisions = files.section("plan").get("decisions")
    choices = [d for d in decisions if isinstance(d, dict)] if isinstance(decisions, list) else []
    if choices:
        cells = [
            [
                f"<code>{esc(d.get('key', ''))}</code>",
                f"<code>{esc(d.get('value', ''))}</code>",
                esc(d.get("reason", "")),
            ]
            for d in choices
        ]
        body += "<h3>Decisions and their reasons</h3>" + table(("setting", "value", "reason"), cells)
    return section("Plan and actual", body) if body else ""


def _corpus(files: RunFiles) -> str:
    corpus, ledger = files.section("corpus"), files.ledger
    rows = [
        ("files", whole(corpus.get("files"))),
        ("documents", whole(corpus.get("documents"))),
        ("duplicates left out", whole(corpus.get("duplicates"))),
        ("training tokens", whole(corpus.get("train_tokens"))),
        ("validation tokens", whole(corpus.get("validation_tokens"))),
        ("vocabulary", whole(corpus.get("vocab_size"))),
        ("bytes per token", number(corpus.get("bytes_per_token"), 2)),
        ("fingerprint", str(corpus.get("fingerprint") or "–")),
    ]
    body = facts([(label, value) for label, value in rows if value != "–"])
    notes = corpus.get("notes")
    if isinstance(notes, list) and notes:
        body += f"<ul>{''.join(f'<li>{esc(note)}</li>' for note in notes)}</ul>"
    if ledger:
        body += _ledger(ledger)
    return section("Documents", body) if body else ""


def _ledger(ledger: Ledger) -> str:
    counts = list(ledger.by_type.items())
    rows = [
        [esc(media), *(whole(by[status]) if by[status] else "" for status in ("read", "skipped", "failed"))]
        for media, by in counts
    ]
    totals = [whole(sum(by[status] for _, by in counts)) for status in ("read", "skipped", "failed")]
    body = "<h3>Every file is accounted for</h3>"
    body += table(("type", "read", "skipped", "failed"), [*rows, ["<b>all</b>", *totals]], numbers=(1, 2, 3))
    body += (
        f'<p class="note">{esc(size(ledger.bytes))} in files, {esc(whole(ledger.documents))} documents, '
        f"{esc(whole(ledger.characters))} characters of text.</p>"
    )
    if ledger.unread:
        cells = [
            [
                f'<span class="{esc(r.get("status"))}">{esc(r.get("status"))}</span>',
                esc(r.get("path", "")),
                esc(r.get("reason", "")),
            ]
            for r in ledger.unread
        ]
        more = ledger.unread_in_all - len(ledger.unread)
        rest = f'<p class="note">and {whole(more)} more in corpus/ledger.jsonl</p>' if more else ""
        title = (
            f"{amount_text(ledger.unread_in_all, 'files')} {'was' if ledger.unread_in_all == 1 else 'were'} not read"
        )
        body += f"<details open><summary>{title}</summary>{table(('', 'file', 'why'), cells)}{rest}</details>"
    return body


def _machine(files: RunFiles) -> str:
    rows = [
        (key.replace("_bytes", "").replace("_", " "), _value(key, value))
        for key, value in files.section("machine").items()
    ]
    rows += [(key, str(value)) for key, value in files.section("versions").items()]
    return section("Machine and versions", facts(rows)) if rows else ""


def _commands(files: RunFiles) -> str:
    body = ""
    if command := files.run.get("command"):
        body += f"<h3>To repeat this run</h3><pre><code>{esc(command)}</code></pre>"
        if (files.root / "config.toml").exists():
            config = shlex.quote(str(files.root / "config.toml"))
            body += f'<p class="note">Every resolved setting: <code>--config {esc(config)}</code></p>'
    commands = "\n".join(next_commands(files.root))
    return section("Next", f"{body}<h3>To use the model</h3><pre><code>{esc(commands)}</code></pre>")


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return size(value) if key.endswith("_bytes") else str(value)
