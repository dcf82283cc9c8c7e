"""report.html: a run's whole story on one self-contained page, with no script and nothing to fetch.

The texts on it come from documents, file names and a model, so every one of them is escaped.
"""

import html
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.report.curves import epoch_figure, replace_file, svg, training_figure
from groundup.report.run_files import Ledger, RunFiles, read_run
from groundup.report.summary import (
    baseline_rows,
    best_checkpoint,
    loss_rows,
    next_commands,
    plan_rows,
    status_text,
)
from groundup.report.wording import duration, finite, number, percent, short, shorten, size, whole

_MOST_SAMPLES = 24


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into the run directory and return its path; sections without files are left out."""
    page = run_dir / "report.html"
    replace_file(page, render_page(read_run(run_dir)).encode("utf-8"))
    return page


def render_page(files: RunFiles) -> str:
    """The page as HTML text."""
    name = esc(files.root.resolve().name)
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
{"".join(section for section in sections if section)}</main>
<footer>Made by groundup {esc(files.section("versions").get("groundup", ""))} from the files in this run's directory.</footer>
</body>
</html>
"""


def esc(value: Any) -> str:
    """Text made harmless for HTML; control characters other than line breaks and tabs become U+FFFD."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(value)))


def _lead(files: RunFiles) -> str:
    corpus = files.section("corpus")
    parts = [status_text(files)]
    if finite(corpus.get("files")):
        parts.append(f"trained on {whole(corpus['files'])} files, {size(corpus.get('train_bytes'))} of text")
    if created := files.run.get("created"):
        parts.append(f"begun {created}")
    return esc(". ".join(part[:1].upper() + part[1:] for part in parts)) + "."


def _headline(files: RunFiles) -> str:
    plan, actual, best = files.section("plan"), files.section("actual"), files.section("best")
    last = files.entries[-1] if files.entries else {}
    model = files.baselines().get("this model", {})
    val = files.losses("val_loss")
    tokens, steps = actual.get("tokens", last.get("tokens")), actual.get("steps", last.get("step"))
    speed = actual.get("tokens_per_second")
    best_loss, best_step = best.get("val_loss", val.get("best")), best.get("step", val.get("best_step"))
    figures = [
        ("parameters", short(plan.get("parameters")), ""),
        ("training tokens", short(tokens), f"{number(actual.get('epochs'), 1)} epochs" if "epochs" in actual else ""),
        ("steps", whole(steps), ""),
        ("time", duration(actual["minutes"] * 60) if finite(actual.get("minutes")) else "–",
         f"{short(speed)} tokens/s" if finite(speed) else ""),
        ("best validation loss", number(best_loss), f"at step {whole(best_step)}"),
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
        f"<p>{_sentence(verdict.evidence)}</p><p>{_sentence(verdict.advice)}</p></section>\n"
    )


def _curves(files: RunFiles) -> str:
    if not files.entries:
        return ""
    steps = svg(training_figure(files.metrics(), files.chart_baselines(), most=1500), "training curve")
    parts = [f'<figure role="img" aria-label="Loss and learning rate over steps">{steps}</figure>\n']
    if len({entry.get("epoch") for entry in files.entries}) > 1:
        epochs = svg(epoch_figure(files.entries), "loss by epoch")
        parts.append(f'<figure class="narrow" role="img" aria-label="Loss by epoch">{epochs}</figure>\n')
    return _section("Learning", "".join(parts))


def _losses(files: RunFiles) -> str:
    rows = [[esc(cell) for cell in row] for row in loss_rows(files)]
    if not rows:
        return ""
    best = best_checkpoint(files)
    where = f'<p class="note">Best checkpoint: <code>{esc(best)}</code></p>' if best else ""
    return _table(("nats per token", "initial", "final", "best"), rows, numbers=(1, 2, 3)) + where


def _baselines(files: RunFiles) -> str:
    rows = baseline_rows(files)
    if not rows:
        return ""
    bits = [row.get("bits_per_byte") for row in files.baselines().values()]
    most = max((value for value in bits if finite(value)), default=1) or 1
    body = ""
    for (name, shown, loss), value in zip(rows, bits, strict=True):
        bar = f'<span class="bar" style="width:{100 * value / most:.1f}%"></span>' if finite(value) else ""
        us = ' class="us"' if name == "this model" else ""
        body += f'<tr{us}><td>{esc(name)}</td><td class="n">{shown}</td><td class="n">{loss}</td><td class="wide">{bar}</td></tr>'
    table = (
        '<div class="scroll"><table><thead><tr><th>predictor</th><th class="n">bits per byte</th>'
        f'<th class="n">loss</th><th></th></tr></thead><tbody>{body}</tbody></table></div>\n'
    )
    return _section("Against simple predictors", table, "On the held-out text; lower is better.")


def _before_after(files: RunFiles) -> str:
    blocks = []
    for prompt, before, after in files.before_after():
        halves = "".join(
            f'<div class="{kind}"><span class="when">{label}</span><ol>{"".join(map(_token_bar, tops[:5]))}</ol></div>'
            for kind, label, tops in (("before", "untrained", before), ("after", "trained", after))
        )
        blocks.append(f'<div class="probe"><h4 class="mono">{esc(prompt)} …</h4>{halves}</div>\n')
    if not blocks:
        return ""
    return _section("Before and after", "".join(blocks), "The likeliest next tokens, as the model saw them.")


def _token_bar(top: tuple[str, float]) -> str:
    token, share = top
    width = min(100.0, max(0.0, 100 * share))
    return (
        f'<li><span class="mono">{esc(shorten(token.replace(" ", "␣"), 24))}</span>'
        f'<span><span class="bar" style="width:{width:.1f}%"></span></span><span>{esc(percent(share))}</span></li>'
    )


def _samples(files: RunFiles) -> str:
    shown = files.samples
    if len(shown) > _MOST_SAMPLES:  # the first ones, the last ones, and an even choice between them
        last = len(shown) - 1
        shown = [shown[round(i * last / (_MOST_SAMPLES - 1))] for i in range(_MOST_SAMPLES)]
    blocks = [
        f'<div class="sample"><div class="step">step {esc(whole(sample.get("step")))}</div>'
        f'<div class="text"><b>{esc(sample.get("prompt", ""))}</b>{esc(str(sample.get("text", ""))[:4000])}</div></div>\n'
        for sample in shown
    ]
    return (
        _section("From noise to text", "".join(blocks), "Prompts in bold; the rest is the model's.")
        if blocks
        else ""
    )


def _plan(files: RunFiles) -> str:
    body = ""
    if rows := plan_rows(files):
        cells = [[esc(cell) for cell in row] for row in rows]
        body += _table(("", "planned", "actual"), cells, numbers=(1, 2))
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
        body += "<h3>Decisions and their reasons</h3>" + _table(("setting", "value", "reason"), cells)
    return _section("Plan and actual", body) if body else ""


def _corpus(files: RunFiles) -> str:
    corpus, ledger = files.section("corpus"), files.ledger
    facts = [
        ("files", whole(corpus.get("files"))),
        ("documents", whole(corpus.get("documents"))),
        ("duplicates left out", whole(corpus.get("duplicates"))),
        ("training tokens", whole(corpus.get("train_tokens"))),
        ("validation tokens", whole(corpus.get("validation_tokens"))),
        ("vocabulary", whole(corpus.get("vocab_size"))),
        ("bytes per token", number(corpus.get("bytes_per_token"), 2)),
        ("fingerprint", str(corpus.get("fingerprint") or "–")),
    ]
    body = _facts([(label, value) for label, value in facts if value != "–"])
    notes = corpus.get("notes")
    if isinstance(notes, list) and notes:
        body += f"<ul>{''.join(f'<li>{esc(note)}</li>' for note in notes)}</ul>"
    if ledger:
        body += _ledger(ledger)
    return _section("Documents", body) if body else ""


def _ledger(ledger: Ledger) -> str:
    counts = list(ledger.by_type.items())
    rows = [
        [esc(media), *(whole(by[status]) if by[status] else "" for status in ("read", "skipped", "failed"))]
        for media, by in counts
    ]
    totals = [whole(sum(by[status] for _, by in counts)) for status in ("read", "skipped", "failed")]
    body = "<h3>Every file is accounted for</h3>"
    body += _table(("type", "read", "skipped", "failed"), [*rows, ["<b>all</b>", *totals]], numbers=(1, 2, 3))
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
        title = f"{whole(ledger.unread_in_all)} files were not read"
        body += (
            f"<details open><summary>{title}</summary>{_table(('', 'file', 'why'), cells)}{rest}</details>"
        )
    return body


def _machine(files: RunFiles) -> str:
    machine = files.section("machine")
    facts = [
        (key.replace("_bytes", "").replace("_", " "), _value(key, value)) for key, value in machine.items()
    ]
    facts += [(key, str(value)) for key, value in files.section("versions").items()]
    return _section("Machine and versions", _facts(facts)) if facts else ""


def _commands(files: RunFiles) -> str:
    body = ""
    if command := files.run.get("command"):
        body += f"<h3>To repeat this run</h3><pre><code>{esc(command)}</code></pre>"
        if (files.root / "config.toml").exists():
            config = shlex.quote(str(files.root / "config.toml"))
            body += f'<p class="note">Every resolved setting is in <code>{esc(config)}</code>, valid as <code>--config</code>.</p>'
    commands = "\n".join(next_commands(files.root))
    return _section("Next", f"{body}<h3>To use the model</h3><pre><code>{esc(commands)}</code></pre>")


def _section(title: str, body: str, note: str = "") -> str:
    return f"<section><h2>{title}</h2>{f'<p class=note>{note}</p>' if note else ''}{body}</section>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already; columns in `numbers` are set flush right."""

    def cells(tag: str, row: Sequence[str]) -> Iterator[str]:
        for i, cell in enumerate(row):
            kind = (
                ' class="n"' if i in numbers else ' class="long"' if tag == "td" and i == len(row) - 1 else ""
            )
            yield f"<{tag}{kind}>{cell}</{tag}>"

    body = "".join(f"<tr>{''.join(cells('td', row))}</tr>" for row in rows)
    header = f"<thead><tr>{''.join(cells('th', head))}</tr></thead>"
    return f'<div class="scroll"><table>{header}<tbody>{body}</tbody></table></div>\n'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return _table(("", ""), [[f"{esc(label)}", esc(value)] for label, value in facts]) if facts else ""


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return size(value) if key.endswith("_bytes") else str(value)


def _sentence(text: str) -> str:
    return esc(text[:1].upper() + text[1:]) + ("." if text and text[-1] not in ".!?" else "")
