from hypothesis import given
from hypothesis import strategies as st

from groundup.documents.readers.pages import join_pages, strip_running_heads


def test_heads_that_change_by_chapter_go_with_their_page_numbers():
    words = ["apples", "pears", "plums", "figs", "nuts", "rye", "oats", "hay", "naps", "tea", "rum", "ale"]
    pages = [
        f"Chapter {n // 4}: Name {n // 4} {n + 7}\nA page about {word}.\nIt ends with {word}."
        for n, word in enumerate(words)
    ]
    pages[4] = "11\nChapter title\nA page about nuts."
    stripped = strip_running_heads(pages)
    assert stripped[0] == "A page about apples.\nIt ends with apples."
    assert stripped[4] == "Chapter title\nA page about nuts."


def test_repeated_heads_and_feet_go():
    pages = [f"The Annual Report\n\nText number {'i' * n}.\n\n- {n} -" for n in range(3, 8)]
    assert strip_running_heads(pages) == [f"Text number {'i' * n}." for n in range(3, 8)]


def test_short_documents_and_lines_that_differ_stay():
    pages = ["Same head\nfirst", "Same head\nsecond"]
    assert strip_running_heads(pages) == pages
    poem = [f"A line that only page {word} has\nand its second" * 2 for word in ("one", "two", "three", "four")]
    kept = strip_running_heads(poem)
    assert [page.split("\n")[0] for page in kept] == [page.split("\n")[0] for page in poem]


def test_a_sentence_that_runs_on_is_not_parted():
    text, starts = join_pages(["The sentence goes", "on here.", "", "Next."])
    assert text == "The sentence goes\non here.\n\nNext.\n"
    assert starts == (0, 18, 26, 28)


@given(st.lists(st.text("ab.\n ")))
def test_offsets_point_at_the_pages(pages):
    text, starts = join_pages(pages)
    assert len(starts) == len(pages)
    for page, start in zip(pages, starts, strict=True):
        assert text[start:].startswith(page.strip("\n"))
