import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.runs import Journal, parse_row, read_journal

ROWS = [{"step": step, "loss": 1 / (step + 3), "text": "é\n\u2028\r" * step} for step in range(6)]


def journal_of(path: Path, rows: list[dict]) -> Journal:
    journal = Journal(path)
    for row in rows:
        journal.append(row)
    return journal


def test_rows_come_back_in_order_while_the_journal_is_open(tmp_path):
    journal = journal_of(tmp_path / "x.jsonl", ROWS)
    assert list(read_journal(tmp_path / "x.jsonl")) == ROWS
    journal.sync()
    journal.close()
    assert len((tmp_path / "x.jsonl").read_bytes().splitlines()) == len(ROWS)


def test_a_journal_opened_again_goes_on_where_it_ended(tmp_path):
    journal_of(tmp_path / "x.jsonl", ROWS[:2]).close()
    journal_of(tmp_path / "x.jsonl", ROWS[2:]).close()
    assert list(read_journal(tmp_path / "x.jsonl")) == ROWS


def test_a_missing_journal_has_no_rows(tmp_path):
    assert list(read_journal(tmp_path / "none.jsonl")) == []


def test_numbers_that_json_does_not_know_are_refused_and_leave_no_trace(tmp_path):
    journal = journal_of(tmp_path / "x.jsonl", ROWS[:1])
    with pytest.raises(ValueError):
        journal.append({"step": 1, "loss": float("nan")})
    journal.append(ROWS[1])
    assert list(read_journal(tmp_path / "x.jsonl")) == ROWS[:2]


@pytest.mark.parametrize("torn", ['{"step": 6, "lo', '{"step": 6, "loss": 1.0}', "\x00\x00\x00", "\udcc3"])
def test_an_unfinished_last_line_is_left_out_and_harms_no_later_row(tmp_path, torn):
    path = tmp_path / "x.jsonl"
    journal_of(path, ROWS).close()
    with path.open("ab") as file:
        file.write(torn.encode("utf-8", "surrogateescape"))
    assert list(read_journal(path)) == ROWS
    after = {"step": 7, "event": "started again"}
    journal_of(path, [after]).close()
    rows = list(read_journal(path))
    assert (rows[: len(ROWS)], rows[-1]) == (ROWS, after)


def test_lines_that_hold_no_row_are_passed_over(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [json.dumps(ROWS[0]), "", "12", "[1]", "{", "[" * 100_000, "\x00", json.dumps(ROWS[1])]
    path.write_text("".join(line + "\n" for line in lines))
    assert list(read_journal(path)) == ROWS[:2]


def test_a_line_in_whose_text_a_bit_has_flipped_is_no_row_to_any_reader(tmp_path):
    path = tmp_path / "x.jsonl"
    journal_of(path, ROWS[:3]).close()
    first, second, third = path.read_bytes().splitlines(keepends=True)
    flipped = second.replace("é".encode(), "é".encode().replace(b"\xc3", b"\xc2\xff"))
    path.write_bytes(first + flipped + third)
    assert parse_row(flipped) is None
    assert list(read_journal(path)) == [ROWS[0], ROWS[2]]
    assert Journal(path).cut(9) == 1
    assert path.read_bytes() == first + third


@pytest.mark.parametrize("step", [0, 1, 3, 6, 100])
def test_cut_drops_the_step_and_all_later_ones_and_keeps_the_bytes_before(tmp_path, step):
    path = tmp_path / "x.jsonl"
    journal = journal_of(path, ROWS)
    before = path.read_bytes().splitlines(keepends=True)
    journal.cut(step)
    assert path.read_bytes() == b"".join(before[:step])
    journal.append({"step": step, "new": True})
    assert list(read_journal(path)) == [*ROWS[:step], {"step": step, "new": True}]


def test_cut_drops_a_torn_last_line(tmp_path):
    path = tmp_path / "x.jsonl"
    journal_of(path, ROWS).close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 2, "torn')
    Journal(path).cut(100)
    assert path.read_bytes() == whole


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False, allow_infinity=False)
        )
    )
)
def test_cutting_nothing_changes_nothing(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("j") / "x.jsonl"
    journal = journal_of(path, [{**row, "step": 1} for row in rows])
    before = path.read_bytes()
    journal.cut(2)
    journal.close()
    assert path.read_bytes() == before
