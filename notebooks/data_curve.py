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
    from groundup.reporting import describe_scaling

    minutes = float(mo.cli_args().get("minutes", 1.5))  # python data_curve.py -- --minutes 10
    return Path, describe_scaling, groundup, minutes, mkdtemp, mo, pydoc_data


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
    _bytes = 0
    for _topic, _text in sorted(pydoc_data.topics.topics.items()):
        if _bytes < 75_000:  # little enough for models that learn all of it in seconds
            _bytes += (documents / f"{_topic}.rst").write_text(_text, encoding="utf-8")
    print(f"{_bytes:,} characters of Python's language reference")
    return documents, home


@app.cell
def _(describe_scaling, documents, groundup, home, minutes):
    small = {"model.layers": 1, "model.width": 32}
    curve = groundup.scaling(documents, minutes=minutes, out=home / "scaling", seeds=1, settings=small)
    print(describe_scaling(curve))
    return (curve,)


@app.cell
def _(curve, mo):
    mo.image(curve["picture"], width=700)
    return


@app.cell
def _(mo):
    mo.md(r"""
    ## The numbers behind it

    One row for each part: its text, and the lowest bits per byte that any run on it came to.
    """)
    return


@app.cell
def _(curve):
    for _point in curve["points"]:
        print(f"{_point['share']:>5} {_point['bytes']:>10,} bytes {_point['bits_per_byte']:8.4f} bits per byte")
    if curve["fit"] is None:
        print(f"no curve is drawn through them: {curve['no_fit']}")
    return


if __name__ == "__main__":
    app.run()
