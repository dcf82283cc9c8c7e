from groundup.documents.readers.hyphens import mend_words


def test_a_word_broken_at_a_lines_end_is_whole_on_its_first_line():
    assert mend_words(["a har\x02\nbour by the sea"]) == ["a harbour\nby the sea"]


def test_the_hyphen_stays_beside_capitals_and_digits():
    assert mend_words(["S\x02\nPlus and 1\x02\n2"]) == ["S-Plus\nand 1-2"]


def test_the_hyphen_stays_in_words_that_the_document_writes_with_one():
    pages = ["a well-known clerk", "a Well\x02\nknown but har\x02\nbour"]
    assert mend_words(pages)[1] == "a Well-known\nbut harbour"


def test_a_word_broken_over_a_page_break_is_whole_on_its_first_page():
    assert mend_words(["in the har-", "", "bour lay boats"]) == ["in the harbour", "", "lay boats"]
    assert mend_words(["in the har\x02", "bour lay boats"]) == ["in the harbour", "lay boats"]


def test_a_dash_at_a_pages_end_stays():
    assert mend_words(["it was -", "they said"]) == ["it was -", "they said"]
    assert mend_words(["from S-", "Plus on"]) == ["from S-", "Plus on"]


def test_a_page_of_one_long_line_takes_no_longer_than_its_length():
    page = "a" * 300_000 + "\x02\n" + "b" * 300_000
    assert mend_words([page, page])[0] == "a" * 300_000 + "b" * 300_000
