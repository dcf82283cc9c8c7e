"""The tokens of a text for a terminal: each one marked off, its id below it, and figures beside other tokenizers."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from groundup.reporting.tables import render
from groundup.reporting.wording import clean, number, percent, whole

if TYPE_CHECKING:
    from groundup.corpus.tokenization import Tokenization

SHOWN = 300  # tokens: a few screens; the rest is counted, and --json gives all
OWN_ROWS = ("this tokenizer", "bytes", "words")  # of the comparison, without reference tokenizers
WIDEST = 40  # columns of one token
SIGNS = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}
# pale enough for black letters on dark and light terminals, and told apart by people who see no red or green
TINTS = ("#9ad0ec", "#f6c28b", "#a8dcc0", "#f0e08a", "#e3b7d3")


def describe_tokens(found: "Tokenization", *, color: bool = False, width: int = 110) -> str:
    """What `groundup tokenize` found, as lines of at most `width` columns; with ANSI colors where `color` is asked."""
    return render(Group(*_parts(found, width)), width, color=color)


def visible(text: str) -> str:
    """`text` with signs for white space (`·` `⏎` `⇥` `␍`); other characters without a shape, and bytes, as escapes."""
    return "".join(
        SIGNS.get(character) or (character if character.isprintable() else ascii(character)[1:-1]) for character in text
    )


def _parts(found: "Tokenization", width: int) -> Iterator[RenderableType]:
    for tokens, ids in _rows(found, width):
        yield tokens
        yield ids
        yield ""
    if len(found.ids) > SHOWN:
        yield f"… and {whole(len(found.ids) - SHOWN)} more tokens (--json lists all)\n"
    back = "decoding gives back every byte" if found.round_trip else "decoding does NOT give back the same bytes"
    yield f"{clean(found.source)}: {whole(found.characters)} characters, {whole(found.bytes)} bytes; {back}\n"
    yield _comparison(found)
    if len(found.densities) == len(OWN_ROWS):
        yield "pip install 'groundup[references]' adds the tokenizers of GPT-2, GPT-4 and GPT-4o to this table"
    vocabulary = found.vocabulary
    yield (
        f"\nvocabulary   {whole(vocabulary.size)} entries ({vocabulary.kind}): {clean(vocabulary.reason)}"
        f"\nunused       {whole(vocabulary.unused)} entries"
        f" ({percent(vocabulary.unused / max(vocabulary.size - 1, 1))}) do not occur in this text"
    )
    if vocabulary.longest:
        yield "longest      " + " │ ".join(map(visible, vocabulary.longest))


def _rows(found: "Tokenization", width: int) -> Iterator[tuple[Text, Text]]:
    """Pairs of lines, tokens above ids; a line ends where the text's does."""
    above, below = Text(no_wrap=True), Text(no_wrap=True)
    for place, (token, index) in enumerate(zip(found.tokens[:SHOWN], found.ids, strict=False)):
        cell = visible(token)
        if cell_len(cell) > WIDEST:
            cell = set_cell_size(cell, WIDEST - 1) + "…"
        columns = max(cell_len(cell), len(str(index)))
        if above and cell_len(above.plain) + columns + 1 > width:
            yield above, below
            above, below = Text(no_wrap=True), Text(no_wrap=True)
        above.append(cell, style=f"black on {TINTS[place % len(TINTS)]}")
        above.append(" " * (columns - cell_len(cell)) + "│")
        below.append(str(index).ljust(columns) + " ", style="dim")
        if token.endswith("\n"):
            yield above, below
            above, below = Text(no_wrap=True), Text(no_wrap=True)
    if above:
        yield above, below


def _comparison(found: "Tokenization") -> Table:
    table = Table("tokenizer", box=None, pad_edge=False, header_style="bold")
    for heading in ("vocabulary", "tokens", "of ours", "characters/token", "bytes/token"):
        table.add_column(heading, justify="right")
    ours = max(found.densities[0].tokens, 1)
    for row in found.densities:
        size = "" if row.vocab_size is None else whole(row.vocab_size)
        figures: Sequence[str] = (number(row.characters_per_token, 2), number(row.bytes_per_token, 2))
        table.add_row(row.name, size, whole(row.tokens), percent(row.tokens / ours), *figures)
    return table
