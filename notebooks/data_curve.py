"""How the loss falls with the amount of text, and what twice as much would bring: `marimo edit` this file, or run it
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

    minutes = float(mo.cli_args().get("minutes", 1.5))  # python data_curve.py -- --minutes 10
    return Path, groundup, minutes, mkdtemp, mo, pydoc_data


@app.cell
def _(mo):
    mo.md(r"""
    # The data curve

    Would more documents help? Models are trained on a part of the text, on twice that part, and so on up to all of
    it, and each is scored on the same held-out documents. Their losses fall along a curve
    $L = E + (D_0 / D)^a$ (Hestness et al. 2017; Kaplan et al. 2020): $D$ is the amount of text, $E$ what no amount
    would take away. The curve is worth more with more minutes: give an hour for a corpus that you care about.
    """)
    return


@app.cell
def _(Path, mkdtemp, pydoc_data):
    home = Path(mkdtemp(prefix="groundup-"))
    documents = home / "documents"
    documents.mkdir()
    for _topic, _text in pydoc_data.topics.topics.items():
        (documents / f"{_topic}.rst").write_text(_text, encoding="utf-8")
    print(f"{sum(path.stat().st_size for path in documents.iterdir()):,} bytes of Python's language reference")
    return documents, home


@app.cell
def _(documents, groundup, home, minutes):
    curve = groundup.scaling(documents, minutes=minutes, out=home / "scaling", seeds=1, size="tiny")
    return (curve,)


@app.cell
def _(curve):
    print(sorted(curve))
    return


if __name__ == "__main__":
    app.run()
