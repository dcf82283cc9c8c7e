import pytest

from groundup.events import Logged
from groundup.reporting import ProgressLog, plain_line

ENTRY = {
    "step": 1200,
    "epoch": 0,
    "train_loss": 3.2431,
    "train_perplexity": 25.61,
    "val_loss": None,
    "learning_rate": 0.0028,
    "grad_norm": 0.674,
    "tokens": 9_830_400,
}
RATES = {"tokens_per_second": 18_312.0, "seconds": 26.4, "tokens_this_run": 4_915_200, "eta_seconds": 3725.0}


def test_a_line_has_every_figure_of_the_interval():
    line = plain_line(Logged(ENTRY, RATES, 6000))
    for figure in (
        "step 1,200/6,000",
        "(20.0%)",
        "loss 3.243",
        "ppl 25.6",
        "lr 2.8e-03",
        "grad 0.67",
        "tokens 4,915,200 (in all 9,830,400)",
        "18.3k tok/s",
        "time 26 s",
        "ETA 1:02:05",
    ):
        assert figure in line
    assert "val" not in line and "\n" not in line


def test_validation_loss_is_shown_where_it_was_measured():
    assert "val 3.354" in plain_line(Logged(ENTRY | {"val_loss": 3.3544}, RATES, 6000))


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_what_is_not_a_number_is_a_dash(missing):
    line = plain_line(Logged(ENTRY | {"train_loss": missing, "grad_norm": missing}, {}, 0))
    assert "loss –" in line and "grad –" in line and "ETA –" in line and "(–)" in line


def test_the_log_is_appended_to_and_can_be_read_at_any_moment(tmp_path):
    file = tmp_path / "progress.log"
    file.write_text("from before the restart\n")
    log = ProgressLog(file)
    for i in range(3):
        log.write(f"line {i}")
        assert file.read_text().splitlines()[-1] == f"line {i}"
    assert file.read_text().splitlines()[0] == "from before the restart"


def test_lines_wait_for_the_run_directory_to_appear(tmp_path):
    log = ProgressLog(tmp_path / "run" / "progress.log")
    log.write("first")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    log.write("second")
    assert (tmp_path / "run" / "progress.log").read_text() == "first\nsecond\n"


def test_a_log_that_cannot_be_written_does_not_raise(tmp_path):
    (tmp_path / "progress.log").mkdir()
    ProgressLog(tmp_path / "progress.log").write("line")
