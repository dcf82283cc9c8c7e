"""Formulas of the site as vector pictures that are part of the page: nothing has to be loaded to read them.

A fence `math` holds LaTeX, which GitHub draws by itself; here matplotlib does. Of LaTeX it knows what its manual lists
under mathtext; lines of `aligned` are drawn one below the other.
"""

import html
import re
from io import BytesIO
from typing import Any


def fence(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """A fence `math` as HTML: a picture for each line, with its LaTeX as the text for who cannot see it."""
    return f'<div class="{css_class}">{"".join(map(_picture, lines(source)))}</div>'


def lines(source: str) -> list[str]:
    """The lines of LaTeX of a fence, without the marks that align them."""
    bare = re.sub(r"\\(begin|end)\{aligned\}", "", source).replace("&", " ")
    return [" ".join(line.split()) for line in bare.split(r"\\") if line.strip()]


def svg(latex: str) -> str:
    """One formula as an SVG element in the color of the text around it. Raises ValueError for LaTeX it cannot draw."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    made = BytesIO()
    with matplotlib.rc_context({"mathtext.fontset": "cm", "svg.fonttype": "path", "svg.hashsalt": "groundup"}):
        math_to_image(f"${latex}$", made, prop=FontProperties(size=15), format="svg")
    text = made.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="patch_1">.*?</g>', "", text, flags=re.DOTALL)  # the white paper behind it
    return text.replace("#000000", "currentColor")


def _picture(latex: str) -> str:
    label = f'<svg role="img" aria-label="{html.escape(latex, quote=True)}"'
    return f"<p>{svg(latex).replace('<svg', label, 1)}</p>"
