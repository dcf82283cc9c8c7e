"""The faults of docs/reliability.md, row by row, with the tests that hold them; `make docs` writes the table there.

A test belongs to row N when its name begins with `test_row_N_`.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- rows: written by tests/faults/rows.py -->", "<!-- end of rows -->"

FAULTS = {
    1: ("kill -9 at random moments, before file operations, in saves, and at every named point", "byte-equal"),
    2: ("kill -9 of one process of a group", "the group restarts from the newest checkpoint, byte-equal"),
    3: ("disk full", "the checkpoint before is intact; the message names the disk and the size needed"),
    4: (
        "checkpoint cut short, a bit flipped, a file missing",
        "named, set aside, the one before it is used; the best is made again",
    ),
    5: ("half and stale directories, a damaged `best`", "ignored: directories are scanned"),
    6: ("a pickle in the place of any file", "refused, nothing executed"),
    7: ("optimizer steps during a save", "the bytes saved are those of the step"),
    8: ("a save fails", "reported at the next step, never counted as good"),
    9: ("retention interrupted; newer checkpoints damaged", "the last one that verifies is never deleted"),
    10: (
        "a finished run started again; made longer",
        "nothing to do, exit 0; with a constant schedule equals one that was as long at once",
    ),
    11: (
        "SIGTERM in a step, an evaluation, a save, in reading, in compilation",
        "saved, exit 75, resume is byte-equal",
    ),
    12: ("SIGTERM to one process of a group, or to torchrun", "all save the same step"),
    13: ("Ctrl-C, hangup; Ctrl-C twice", "the first saves, the second quits at once"),
    14: ("one process of a group suspended", "named after a timeout, with stacks; exit is not 0"),
    15: ("loss or gradients not finite", "no update, moments clean, samples named; too many end the run"),
    16: ("loss spike", "recorded with its samples; on request the run goes back before it"),
    17: ("weights not finite at a save", "no checkpoint is made of them"),
    18: ("the same seed twice", "byte-equal"),
    19: ("1, 2, 4 processes, other microbatches", "the same samples in the same order; losses within 0.1%"),
    20: (
        "architecture, tokenizer or rate changed at resume",
        "refused with the difference; refused; allowed, on record",
    ),
    21: ("corpus changed since the run began", "refused, with what changed; `--accept-corpus` goes on"),
    22: ("resume in mid-epoch", "every sample once an epoch"),
    23: ("two runs in one directory; a stale lock", "the second names host and process; recovered"),
    24: ("read-only, unicode, spaces, very long paths", "named before training, or it works"),
    25: ("a run of an earlier or later version", "loads, or explains"),
    26: ("no text, only blank files", "error, exit 2"),
    27: ("less text than a context, a batch, a split", "a notice, or what to change"),
    28: ("PDF cut, encrypted, scanned, endless, recursive", "read or skipped, counted; bounded time and memory"),
    29: ("image bomb", "refused before decoding"),
    30: ("archive and office bombs, traversal, links, nesting", "capped; nothing written outside"),
    31: ("XML entities", "refused"),
    32: ("loops of links, pipes, sockets, devices, files that change", "skipped, no hang"),
    33: ("binary files, encodings, NUL, a line of a gigabyte", "detected; bounded memory"),
    34: ("the spelling of a special token", "stays text"),
    35: ("copies on both sides of the split", "none"),
    36: ("a damaged shard, a token outside the vocabulary", "the shard is named"),
    37: ("preparation killed or stopped", "run again, it equals one run"),
    38: ("a reader or stage process dies", "an error within seconds; what was read is kept"),
    39: ("out of memory", "the setting to reduce is named; resume goes on"),
    40: ("HTTP: huge bodies, prompts, numbers", "not yet: there is no server"),
    41: ("HTTP: slow clients", "not yet: there is no server"),
    42: ("200 streams with cancels", "not yet: there is no server"),
    43: ("SIGTERM while streaming", "not yet: there is no server"),
    44: ("export cut short; round trip", "not yet: there is no export"),
    45: ("loss, delay, partition between two hosts", "timeout, restart, byte-equal after"),
    46: ("port taken; a node late or missing", "a message with the fix"),
    47: ("no home, no network", "works, asks no hub"),
    48: ("GPU out of memory or lost", "not yet tested on one"),
}


def by_row() -> dict[int, list[tuple[str, bool]]]:
    """Row to its tests: (file::name, whether only `make slow` runs it)."""
    found = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (match := re.match(r"test_row_(\d+)_", node.name)):
                slow = any(ast.unparse(mark) == "pytest.mark.slow" for mark in node.decorator_list)
                found[int(match[1])].append((f"{path.relative_to(ROOT / 'tests').as_posix()}::{node.name}", slow))
    return found


def table() -> str:
    """The table as the page has it."""
    tests = by_row()
    lines = ["| | fault | what holds | tests, below `tests/` |", "|---|---|---|---|"]
    for row, (fault, holds) in FAULTS.items():
        names = "<br>".join(f"`{name}`{' (slow)' if slow else ''}" for name, slow in tests[row])
        lines.append(f"| {row} | {fault} | {holds} | {names or '–'} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """`text` with the table of today between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks the marks of its table")
    return f"{before}{begin}\n\n{table()}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
