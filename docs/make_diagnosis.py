"""Writes docs/diagnosis.md from the rules of the diagnosis, so that it never drifts from the code."""

import inspect
import sys
from pathlib import Path

from groundup.insight.diagnosis import RULES
from groundup.insight.diagnosis.rules import EXPLAINED

HEAD = """# Diagnosis

`groundup diagnose RUN` holds every rule below to the files of a run, finished or not, and says for each that holds what
it was read from and which setting to change. `--json` gives the same to programs. The end of a run does it unasked: its
findings are in `run.json` (`findings`), in the summary and in `report.html`. While a run trains, `diverging` and
`not-falling` are looked for, and told at once, in the terminal, in `progress.log` and in `events.jsonl` (`warning`).

The verdict of a run is the reading of the first severe rule in this table that holds, else of the first that has one;
where none has, the run is *healthy*. *Severe* findings come first: the run does not do what it is for. A *warning*
costs quality or time, a *note* says that more is possible.

`groundup diagnose RUN --try` trains short runs with the settings of the first remedy and without, in pairs that share
their seed, and gives the mean difference of their losses with its 95% interval (Student's t over the pairs). It helped
where the whole interval is below 0. The run itself is only read. Remedies that need the documents to be read again
(`data.*`) are passed over. What a run has no more, such as its corpus, is said: the rules that need it cannot hold.

Generated from `src/groundup/insight/diagnosis` by `make docs`. Losses are in nats per token.

| rule | severity | reading | holds when |
|---|---|---|---|
"""


def page() -> str:
    """The Markdown of the page."""
    rows = []
    for rule in RULES:
        holds = " ".join((inspect.getdoc(rule.check) or "").split()).replace("|", "\\|")
        rows.append(f"| `{rule.name}` | {rule.severity} | {rule.reading or ''} | {holds} |")
    explained = [f"| `{name}` | {', '.join(f'`{cause}`' for cause in causes)} |" for name, causes in EXPLAINED.items()]
    between = """
A rule that another one explains is left out, because its remedy would not be one:

| rule | left out where this holds |
|---|---|
"""
    return HEAD + "\n".join(rows) + "\n" + between + "\n".join(explained) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("diagnosis.md")
    target.write_text(page(), encoding="utf-8")
