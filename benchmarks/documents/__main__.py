"""Measures how faithfully groundup and its alternatives read documents: `python benchmarks/documents --help`."""

import argparse
import json
import os
import platform
import random
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from measure import character_error_rate, exact_share, letters, order_score, word_scores
from real import compare_real
from render_files import FORMATS, truth_in
from render_pdf import has_office, office_pdf, render_pdf, scans
from tools import ALTERNATIVES, OURS, Reads, find_tools, run_tool
from truth import GENRES, Truth, make

_SCANNED = ("prose", "columns", "table", "list", "code")  # what a scan in English may hold
_GOALS = {  # what groundup's median must reach; "exact" is of code, "recall" of words
    "pdf": {"cer": 0.005},
    "scan": {"cer": 0.02, "seconds": 1.5},
    "long": {"pages": 300},
    "files": {"recall": 1.0, "exact": 1.0},
}

_WIDTHS = (12, 8, 6, 7, 7, 5, 8, 7, 5)


@dataclass(frozen=True)
class Row:
    """Medians over the documents of one kind that one tool read; the fields are those of the functions in measure."""

    kind: str
    tool: str
    status: str
    cer: float | None = None
    order: float | None = None
    recall: float | None = None
    precision: float | None = None
    exact: float | None = None
    pages_per_second: float | None = None
    """Pages by processor seconds; a page is 3,000 characters where there are no pages."""
    seconds_per_page: float | None = None
    """Wall-clock."""
    rss: int | None = None
    reason: str = ""


@dataclass
class Case:
    """Documents of one kind: files, the truth of each, the number of pages of all."""

    kind: str
    files: list[Path]
    truths: list[Truth]
    pages: float
    goal: str


def main() -> None:
    """Renders, reads, measures, prints."""
    arguments = _arguments()
    tools = dict.fromkeys((OURS, *ALTERNATIVES)) | find_tools(arguments.python_with)
    chosen = [tool for tool in tools if not arguments.tool or tool in arguments.tool]
    tools = {tool: tools[tool] for tool in chosen}
    if arguments.real:
        compare_real(arguments.real, tools, arguments.limit)
        return
    print(f"seed {arguments.seed}, {arguments.documents} documents of a kind; medians")
    rows: list[Row] = []
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.keep or Path(folder)
        for name in _kinds(arguments.only):
            case = _render(name, root, arguments.documents, arguments.seed)
            warm_up = _warm_up(case, root, arguments.seed)
            for tool, python in tools.items():
                reads = run_tool(tool, python, case.files, warm_up, arguments.limit)
                versions |= {tool: reads.version} if reads.version else {}
                if arguments.keep:
                    for file, text in zip(case.files, reads.texts, strict=True):
                        file.with_name(f"{file.name}.{tool}.out").write_text(text or reads.reason, "utf-8", "replace")
                rows.append(_score(case, tool, reads))
            _print(case, rows[-len(tools) :])
    if arguments.out:
        _save(arguments, rows, versions)


def _kinds(only: Sequence[str]) -> list[str]:
    kinds = [f"pdf {genre}" for genre in GENRES] + ["pdf long"] + (["pdf office"] if has_office() else [])
    kinds += [f"scan-{suffix} {genre}" for genre in _SCANNED for suffix in (("pdf", "png", "tif"))]
    # The three kinds of scan differ only in their wrapping: one genre of each is enough for PNG and TIFF.
    kinds = [kind for kind in kinds if kind.startswith(("pdf", "scan-pdf")) or kind.endswith("prose")]
    return [kind for kind in kinds + list(FORMATS) if not only or any(kind.startswith(start) for start in only)]


def _render(name: str, root: Path, count: int, seed: int) -> Case:
    kind, _, genre = name.partition(" ")
    files, truths, pages = [], [], 0.0
    for number in range(1 if genre == "long" else count):
        rng = random.Random(f"{seed} {name} {number}")
        path = root / f"{name.replace(' ', '-')}-{number}"
        if kind in FORMATS:
            genre, write = FORMATS[kind]
            truth = truth_in(kind, make(genre, 3, rng))
            path = path.with_suffix(f".{kind}")
            write(truth, path, rng)
            pages += len(truth.plain()) / 3000
        else:
            size = {"long": 150, "book": 5, "columns": 3}.get(genre, 1 if kind == "scan-png" else 2)
            truth = make({"long": "book", "office": "mixed"}.get(genre, genre), size, rng)
            path = path.with_suffix(".pdf")
            if genre == "office":
                FORMATS["docx"][1](truth, path.with_suffix(".docx"), rng)
                office_pdf(path.with_suffix(".docx"), root)
            else:
                render_pdf(truth, path, rng)
            if kind != "pdf":
                path, truth = _scan(kind, path, truth, rng)
            pages += _page_count(path)
        files.append(path)
        truths.append(truth)
    goal = "long" if genre == "long" else kind.partition("-")[0] if kind not in FORMATS else "files"
    return Case(name, files, truths, pages, goal)


def _scan(kind: str, pdf: Path, truth: Truth, rng: random.Random) -> tuple[Path, Truth]:
    images = list(scans(pdf, rng))
    suffix = kind.partition("-")[2]
    path = pdf.with_name(f"{pdf.stem}-scan.{suffix}")
    if suffix == "png":
        # One picture holds one page: the document is cut to what is on it.
        import pypdfium2

        images[0].save(path, dpi=(300, 300))
        words = pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_range().split()
        return path, _until(truth, words)
    images[0].save(path, save_all=True, append_images=images[1:], resolution=300, dpi=(300, 300))
    return path, truth


def _until(truth: Truth, words: list[str]) -> Truth:
    text = truth.plain().split()
    return Truth(truth.genre, [type(truth.blocks[0])("paragraph", " ".join(text[: len(words)]))])


def _page_count(path: Path) -> int:
    if path.suffix != ".pdf":
        from PIL import Image

        return getattr(Image.open(path), "n_frames", 1)
    import pypdfium2

    return len(pypdfium2.PdfDocument(path))


def _warm_up(case: Case, root: Path, seed: int) -> Path:
    if case.kind.startswith(("pdf", "scan-pdf")):
        path = root / "warm-up.pdf"
        if not path.exists():
            render_pdf(make("prose", 0.1, random.Random(seed)), path, random.Random(seed))
        return path
    return case.files[0]


def _score(case: Case, tool: str, reads: Reads) -> Row:
    if reads.status != "read":
        return Row(case.kind, tool, reads.status, reason=reads.reason)
    scores = []
    for truth, text in zip(case.truths, reads.texts, strict=True):
        wanted, given = letters(truth.plain()), letters(text or "")
        exact = None if case.kind.startswith("scan") else exact_share(truth.code(), text or "")
        words = word_scores(wanted, given)
        scores.append((character_error_rate(wanted, given), order_score(wanted, given), *words, exact))
    values = ([value for value in column if value is not None] for column in zip(*scores, strict=True))
    medians = [median(column) if column else None for column in values]
    speed = case.pages / max(reads.cpu, 1e-6), reads.wall / case.pages
    return Row(case.kind, tool, "read", *medians, *speed, reads.rss, reads.reason)


def _print(case: Case, rows: list[Row]) -> None:
    goals = _GOALS[case.goal]
    shown = {"cer": "CER < {:.1%}", "recall": "recall {:.0%}", "exact": "code exact", "pages": "> {:g} pages/s"}
    shown |= {"seconds": "< {:g} s/page"}
    print(f"\n{case.kind}, {case.pages:.0f} pages; goals: {', '.join(shown[key].format(goals[key]) for key in goals)}")
    names = zip(("", "CER", "order", "recall", "precis.", "code", "pages/s", "s/page", "MB"), _WIDTHS, strict=True)
    print("  " + " ".join(f"{name:>{width}}" for name, width in names))
    for row in rows:
        if row.status != "read":
            if row.status != "not for this":
                print(f"  {row.tool:12} {row.status}: {' '.join(row.reason.split())[:90]}".rstrip(": "))
            continue
        cells = [
            _cell(row.cer, "8.2%"),
            _cell(row.order, "6.2f"),
            _cell(row.recall, "7.1%"),
            _cell(row.precision, "7.1%"),
        ]
        cells += [_cell(row.exact, "5.0%"), _cell(row.pages_per_second, "8.1f"), _cell(row.seconds_per_page, "7.3f")]
        missed = f"  MISSED {', '.join(missed)}" if row.tool == OURS and (missed := _missed(row, goals)) else ""
        print(f"  {row.tool:12} {' '.join(cells)} {(row.rss or 0) / 1e6:5.0f}{missed}", flush=True)


def _cell(value: float | None, form: str) -> str:
    return format(value, form) if value is not None else "-".rjust(int(form.partition(".")[0]))


def _missed(row: Row, goals: dict[str, float]) -> list[str]:
    missed = {
        "cer": row.cer is not None and row.cer >= goals.get("cer", 1),
        "recall": row.recall is not None and row.recall < goals.get("recall", 0),
        "exact": row.exact is not None and row.exact < goals.get("exact", 0),
        "pages": row.pages_per_second is not None and row.pages_per_second < goals.get("pages", 0),
        "seconds": row.seconds_per_page is not None and row.seconds_per_page > goals.get("seconds", 1e9),
    }
    return [name for name, is_missed in missed.items() if is_missed]


def _save(arguments: argparse.Namespace, rows: list[Row], versions: dict[str, str]) -> None:
    import psutil

    machine = {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }
    result = {
        "seed": arguments.seed,
        "documents": arguments.documents,
        "machine": machine,
        "versions": versions,
        "goals": _GOALS,
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"\nwritten: {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="the documents; random each run")
    parser.add_argument("--documents", type=int, default=3, help="documents of each kind")
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help='kinds that begin so: "pdf" "scan" docx')
    parser.add_argument("--tool", nargs="+", default=(), help="only these tools")
    parser.add_argument(
        "--python-with", action="append", default=[], metavar="PYTHON", help="an interpreter that has alternatives"
    )
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one tool and one kind")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="measure on real documents instead")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an existing folder for files and texts")
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
