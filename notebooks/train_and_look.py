"""Train a small model on Python's language reference, then look at what it learned: `marimo edit` this file, or run it
with python."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium")


@app.cell
def _():
    import pydoc_data.topics
    from pathlib import Path
    from tempfile import mkdtemp

    import marimo as mo

    import groundup
    from groundup.inference import SamplingSettings
    from groundup.reporting import describe_explanation, terminal_curve
    from groundup.runs import read_entries

    minutes = float(mo.cli_args().get("minutes", 1))  # python train_and_look.py -- --minutes 5
    return (
        Path,
        SamplingSettings,
        describe_explanation,
        groundup,
        minutes,
        mkdtemp,
        mo,
        pydoc_data,
        read_entries,
        terminal_curve,
    )


@app.cell
def _(mo):
    mo.md(r"""
    # Train and look

    A language model learns to guess the next token of a text. Here one learns from the language reference that every
    Python has with it, in about a minute, on whatever this machine is. Replace the folder by one of your own.
    """)
    return


@app.cell
def _(Path, mkdtemp, pydoc_data):
    home = Path(mkdtemp(prefix="groundup-"))
    documents = home / "documents"
    documents.mkdir()
    for _topic, _text in pydoc_data.topics.topics.items():
        (documents / f"{_topic}.rst").write_text(_text, encoding="utf-8")
    _sizes = [path.stat().st_size for path in documents.iterdir()]
    print(f"{len(_sizes)} documents, {sum(_sizes):,} bytes, in {documents}")
    return documents, home


@app.cell
def _(documents, groundup, home, minutes):
    run = groundup.train(documents, out=home / "run", minutes=minutes)
    print(f"{run.info['stop_reason']}: {run.info['plan']['parameters']:,} parameters; the run is {run.path}")
    return (run,)


@app.cell
def _(mo):
    mo.md(r"""
    ## The loss

    The line is the loss on what is learned from, the points on documents that were held out: only these say whether
    something was understood that other texts share.
    """)
    return


@app.cell
def _(read_entries, run, terminal_curve):
    print(terminal_curve(read_entries(run.path)))
    return


@app.cell
def _(groundup, run):
    scores = groundup.evaluate(run.path)
    print(f"held-out text: {scores['bits_per_byte']:.3f} bits per byte, {scores['accuracy']:.1%} of the tokens right")
    for _name, _figures in scores["baselines"].items():
        print(f"  {_name}: {_figures['bits_per_byte']:.3f} bits per byte")
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## What it writes

    The temperature says how daring it is: low ones take the likeliest token nearly always.
    """)
    return


@app.cell
def _(SamplingSettings, groundup, run):
    for _temperature in (0.2, 0.8):
        _settings = SamplingSettings(temperature=_temperature, max_new_tokens=60, seed=1)
        _text = groundup.generate(run.path, "The class", _settings)[0].text
        print(f"--- temperature {_temperature}\nThe class{_text}\n")
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## How it works inside

    Each topic of `groundup explain` is computed on this run.
    """)
    return


@app.cell
def _(describe_explanation, groundup, run):
    for _topic in ("forward", "attention", "step"):
        print(f"=== {_topic}\n{describe_explanation(groundup.explain(_topic, run.path))}\n")
    return


if __name__ == "__main__":
    app.run()
