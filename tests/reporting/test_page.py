import json
import re
from html.parser import HTMLParser

import pytest

from groundup.reporting import summarize, write_report


class Page(HTMLParser):
    """The elements and the visible text of a page; complains about tags that do not match."""

    VOID = frozenset({"meta", "br", "img", "link", "hr"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def html(finished):
    return write_report(finished).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_page_tells_the_whole_story(page, finished):
    run = json.loads((finished / "run.json").read_text())
    expected = [
        "5.24M", "49.2M", "6,000", "28:06", f"{run['best']['val_loss']:.3f}", "Healthy", "Training loss fell",
        "uniform", "unigram", "bigram", "5-gram", "gzip", "this model", "0.985", "2.310",
        "The capital of France is", "␣Paris", "61%", "0.04%", "froze early that winter", "step 2,500",
        "26.5", "28.1", "1.45 GB", "model.width", "26.5 of 30 minutes at 31,000 tokens/s",
        "application/pdf", "84", "library/locked.pdf", "needs a password", "no reader for video/mp4",
        "Intel Xeon", "bfloat16", "2.13.0", "9f2c81d07a55e1b3",
        "groundup train library --minutes 30 --size small", f"groundup chat {finished}",
        run["best"]["checkpoint"],
    ]  # fmt: skip
    for part in expected:
        assert part in page.text, part


def test_both_curves_are_drawn_in_the_page(page, html):
    assert sum(tag == "svg" for tag, _ in page.tags) == 2
    assert "learning rate" in html and "epoch" in html


def test_hostile_texts_are_text(html, page):
    assert '<script>alert("x")</script> & <b>bold</b>' in page.text
    assert "library/<img src=x>.pdf" in page.text and "not a PDF: <html>" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "link"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\x1b" not in html


def test_the_page_asks_nothing_of_the_network(html, page):
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", html)
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")


def test_the_page_says_its_encoding_and_follows_light_and_dark(html):
    assert html.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in html[:200]
    assert "prefers-color-scheme: dark" in html


def test_ids_in_the_page_are_unique(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_writing_twice_gives_the_same_bytes(own_run):
    first = write_report(own_run).read_bytes()
    assert write_report(own_run).read_bytes() == first
    assert not [path for path in own_run.iterdir() if path.name.startswith(".")]


FILES = ("run.json", "metrics.jsonl", "samples.jsonl", "probes.jsonl", "corpus/ledger.jsonl", "config.toml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        None,
        b"",
        b"\xff\xfe\x00{",
        b"[1, 2]\n3\nnull\n",
        b'{"step": "x", "probes": 3, "plan": []}\n',
        b"[" * 5000,
    ],
)
def test_a_damaged_or_missing_file_costs_its_section_only(own_run, name, damage):
    if damage is None:
        (own_run / name).unlink()
    else:
        (own_run / name).write_bytes(damage)
    page = Page(write_report(own_run).read_text(encoding="utf-8"))
    sections = {
        "run.json": "Plan and actual", "metrics.jsonl": "Learning", "samples.jsonl": "From noise to text",
        "probes.jsonl": "Before and after", "corpus/ledger.jsonl": "Every file is accounted for",
    }  # fmt: skip
    for file, title in sections.items():
        # an object is still a sample, and still a record of a file
        readable = (damage or b"").startswith(b"{") and file in ("samples.jsonl", "corpus/ledger.jsonl")
        assert (title in page.text) == (file != name or readable), title


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, True, [None], {"a": {"b": []}}])
def test_sections_of_run_json_may_hold_anything(own_run, value):
    run = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps(dict.fromkeys(run, value)))
    assert "Learning" in Page(write_report(own_run).read_text(encoding="utf-8")).text
    (own_run / "metrics.jsonl").unlink()  # drawing takes most of the time
    for key in run:
        (own_run / "run.json").write_text(json.dumps(run | {key: value}))
        Page(write_report(own_run).read_text(encoding="utf-8"))
        inner = dict.fromkeys(run[key], value) if isinstance(run[key], dict) else value
        (own_run / "run.json").write_text(json.dumps(run | {key: inner}))
        Page(write_report(own_run).read_text(encoding="utf-8"))


def test_entries_may_hold_anything(own_run):
    odd = [None, "x", [], {}, True, 10**400, float("nan"), -1, 1e308]
    keys = ("epoch", "train_loss", "val_loss", "learning_rate", "val_bits_per_byte", "tokens")
    rows = [{"step": i} | {key: odd[(i + j) % len(odd)] for j, key in enumerate(keys)} for i in range(40)]
    (own_run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("samples", "probes", "corpus/ledger"):
        fields = (
            "step",
            "prompt",
            "text",
            "probes",
            "top",
            "bytes",
            "status",
            "media_type",
            "reason",
            "documents",
        )
        rows = [dict.fromkeys(fields, value) for value in odd] + [{"step": 0, "probes": odd}]
        rows += [{"probes": [{"prompt": value, "top": [value, {"token": value, "probability": 2}]}]} for value in odd]
        (own_run / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Page(write_report(own_run).read_text(encoding="utf-8"))
    assert summarize(own_run)


def test_a_half_written_last_line_is_passed_over(own_run):
    whole = (own_run / "metrics.jsonl").read_bytes()
    before = Page(write_report(own_run).read_text(encoding="utf-8"))
    (own_run / "metrics.jsonl").write_bytes(whole + b'{"step": 6100, "train_lo')
    assert Page(write_report(own_run).read_text(encoding="utf-8")).text == before.text


def test_an_empty_directory_has_a_page(tmp_path):
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "groundup chat" in page.text and "Learning" not in page.text


def test_an_unfinished_run_is_reported_as_such(own_run):
    run = json.loads((own_run / "run.json").read_text())
    for key in ("final", "best", "actual", "verdict", "stop_reason"):
        run.pop(key)
    (own_run / "run.json").write_text(json.dumps(run | {"status": "training"}))
    page = Page(write_report(own_run).read_text(encoding="utf-8"))
    assert "Training." in page.text and "2.661" in page.text and "this model" in page.text
