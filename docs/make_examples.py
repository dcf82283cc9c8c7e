"""Fills the pages of docs/ with what they show: code, taken from the source by name, and the real output of commands.

In a page, `<!-- code: PATH NAME -->` and `<!-- output -->`, which follows a block of shell or Python, each begin what
`<!-- end -->` ends; what stands between is written here. `python docs/make_examples.py` trains the run of the chapters
and runs every block, `--code` only copies code. `<!-- output: varies -->` is output that a clock or the load decides,
`<!-- output: hidden -->` is run for what it leaves, and not shown.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RECORD = DOCS / "examples.json"
FIRST = DOCS / "concepts" / "training.md"  # its first command trains the run that the others look at
PICTURES = {"first-run/training_curve.png": "first-run.png", "data-curve/scaling.png": "data-curve.png"}

_CODE = re.compile(r"<!-- code: (\S+) (\S+) -->\n.*?<!-- end -->", re.DOTALL)
_OUTPUT = re.compile(
    r"```(sh|python)\n((?:(?!```).)*?)```\n\n?<!-- output(: varies|: hidden)? -->\n(.*?)<!-- end -->", re.DOTALL
)
_FENCE = "````"  # longer than those that a text of the model may hold


@dataclass(frozen=True)
class Example:
    """A block of `language` (sh or python) with the text that the page shows as its output.

    `kind` is empty where that repeats to the last character, `varies` or `hidden`."""

    language: str
    source: str
    kind: str
    shown: str

    @property
    def needs_run(self) -> bool:
        """Whether it looks at files that other examples make, or at the repository's."""
        return bool(re.search(r"first-run|second-run|corpus|examples/|data-curve", self.source))


def pages() -> list[Path]:
    """Every page, in the order in which their examples run."""
    found = sorted(path for path in DOCS.rglob("*.md"))
    return [FIRST, *(path for path in found if path != FIRST)]


def examples(text: str) -> list[Example]:
    """The blocks of a page that are followed by their output."""
    return [
        Example(match[1], match[2], (match[3] or "").removeprefix(": "), _unfenced(match[4]))
        for match in _OUTPUT.finditer(text)
    ]


def with_code(text: str) -> str:
    """The page with all code as it is in the source now. Raises LookupError for a name that is not there."""

    def fill(match: re.Match[str]) -> str:
        body = definition(ROOT / "src" / "groundup" / match[1], match[2])
        head = f'<!-- code: {match[1]} {match[2]} -->\n```python title="src/groundup/{match[1]}"'
        return f"{head}\n{body}\n```\n<!-- end -->"

    return _CODE.sub(fill, text)


def definition(path: Path, name: str) -> str:
    """The source of a function, class or method (`Class.method`), with its decorators, moved to the left."""
    source = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        inside = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == part]
        if not inside:
            raise LookupError(f"{path}: no {name}")
        node = inside[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = source.splitlines()[first - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines))


def with_outputs(text: str, work: Path) -> str:
    """The page with every block run in `work`, and what each printed. Raises RuntimeError where one fails."""

    def fill(match: re.Match[str]) -> str:
        print("$", match[2].strip().replace("\n", "\n  "), file=sys.stderr, flush=True)
        printed = run(match[1], match[2], work)
        head = match[0][: match.start(4) - match.start(0)]
        if match[3] == ": hidden":
            return f"{head}<!-- end -->"
        return f"{head}{_FENCE}text\n{printed}\n{_FENCE}\n<!-- end -->"

    return _OUTPUT.sub(fill, text)


def run(language: str, source: str, work: Path) -> str:
    """What a block prints to standard output, on one thread and as if it were 80 columns wide."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["bash", "-e", "-c", source] if language == "sh" else [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{source}\n{done.stdout}\n{done.stderr}")
    return tidy(done.stdout.replace(f"{work}{os.sep}", ""))


def tidy(text: str) -> str:
    """Without blanks at the ends of lines and empty lines around."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def constant_lines(text: str) -> list[str]:
    """The words of the lines of an output that hold no figure, nor follow one that does, as its length may move words
    there: what stays where clocks and load decide the figures."""
    lines = text.splitlines()
    held = [any(map(str.isdigit, line)) for line in ("", *lines)]
    around = zip(lines, held[1:], held, strict=False)
    return [" ".join(line.split()) for line, own, above in around if line and not own and not above]


def workplace(folder: Path) -> Path:
    """`folder`, from which the repository's `examples/` can be named as in a clone."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def machine() -> dict[str, str]:
    """What decides the last bits of the outputs: they are equal only where all of it is."""
    from groundup.parallel.machine import describe_machine

    facts = describe_machine()
    names = ("python", "torch", "numpy", "tokenizers")
    versions = {name: facts["versions"][name] for name in names}
    return {"processor": facts["processor"], "capability": facts["capability"], **versions}


def _unfenced(text: str) -> str:
    return tidy(text.strip().removeprefix(f"{_FENCE}text").removesuffix(_FENCE))


def _chosen(names: list[str]) -> Iterator[Path]:
    wanted = [Path(name).resolve() for name in names]
    return (page for page in pages() if not wanted or page in wanted)


def main() -> None:
    """Rewrite the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="only these pages (with --work, where their run already is)")
    parser.add_argument("--code", action="store_true", help="only copy code, run nothing")
    parser.add_argument("--work", help="where to run: what is there already is not made again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = workplace(Path(arguments.work or temporary).resolve())
        for page in _chosen(arguments.pages):
            before = page.read_text(encoding="utf-8")
            after = with_code(before)
            if not arguments.code:
                after = with_outputs(after, work)
            if after != before:
                page.write_text(after, encoding="utf-8")
        for made, picture in PICTURES.items():
            if (work / made).exists() and not arguments.code:
                shutil.copyfile(work / made, DOCS / "images" / picture)
    if not arguments.code and not arguments.pages:
        RECORD.write_text(json.dumps(machine(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
