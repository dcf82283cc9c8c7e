"""Writes docs/configuration.md from the dataclasses, so that it never drifts from what the code reads."""

import sys
from pathlib import Path

from groundup.config import describe

HEAD = """# Configuration

Every setting, generated from the dataclasses in `src/groundup/config` by `make docs`. Give them in a TOML file
(`--config FILE`; a run's own `config.toml` is one) or one by one (`--set section.key=value`), which wins over the file.
*Planned* values come from the corpus, the machine and the budget; `groundup plan PATH` prints each with its reason,
and `config.toml` keeps who decided it as a comment.
"""


def reference() -> str:
    """The Markdown of the reference."""
    lines, section = [HEAD], None
    for key, kind, default, meaning in describe():
        here = key.rpartition(".")[0] or "(top level)"
        if here != section:
            lines.append(f"\n## {here}\n\n| setting | type | default | meaning |\n|---|---|---|---|")
            section = here
        lines.append(f"| `{key}` | {kind.replace('|', chr(92) + '|')} | {default} | {' '.join(meaning.split())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("configuration.md")
    target.write_text(reference(), encoding="utf-8")
