import json
import re

import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from groundup.reporting.curves import (
    BLUE,
    GREEN,
    RED,
    draw_loss_by_epoch,
    draw_training_curve,
    epoch_figure,
    svg,
    training_figure,
)

BASELINES = {"uniform": 8.3178, "bigram": 4.72, "5-gram": 3.86}


@pytest.fixture
def metrics(finished):
    return json.loads((finished / "training_metrics.json").read_text())


def line(axes, label):
    return next(one for one in axes.get_lines() if one.get_label() == label)


def test_the_top_panel_shows_training_in_blue_and_validation_in_red(metrics):
    top, _ = training_figure(metrics).axes
    training, validation = line(top, "training"), line(top, "validation")
    assert list(training.get_xdata()) == metrics["steps"]
    assert list(training.get_ydata()) == metrics["train_loss"]
    evaluated = [(s, v) for s, v in zip(metrics["steps"], metrics["val_loss"], strict=True) if v is not None]
    assert list(zip(*validation.get_data(), strict=True)) == evaluated
    assert len(evaluated) == 13
    assert (training.get_color(), validation.get_color()) == (BLUE, RED)
    assert "loss" in top.get_ylabel()
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["training", "validation"]


def test_the_bottom_panel_shows_the_learning_rate_in_green_on_a_log_axis(metrics):
    top, bottom = training_figure(metrics).axes
    assert bottom.get_yscale() == "log" and top.get_yscale() == "linear"
    assert list(bottom.get_lines()[0].get_ydata()) == metrics["learning_rate"]
    assert bottom.get_lines()[0].get_color() == GREEN
    assert bottom.get_ylabel() == "learning rate" and bottom.get_xlabel() == "step"
    assert bottom.get_position().y1 < top.get_position().y0
    low, high = bottom.get_ylim()
    assert 0 < low < min(metrics["learning_rate"]) and high > max(metrics["learning_rate"])


def test_the_three_colors_are_blue_red_and_green():
    for color, strongest in ((RED, 0), (GREEN, 1), (BLUE, 2)):
        assert max(range(3), key=lambda channel: to_rgb(color)[channel]) == strongest


def test_baselines_are_labelled_dashed_lines_at_their_loss(metrics):
    top, _ = training_figure(metrics, BASELINES).axes
    dashed = [one for one in top.get_lines() if one.get_linestyle() == "--"]
    assert sorted(one.get_ydata()[0] for one in dashed) == sorted(BASELINES.values())
    assert {text.get_text() for text in top.texts} == {"uniform 8.32", "bigram 4.72", "5-gram 3.86"}


def test_labels_of_close_baselines_stand_side_by_side_and_under_the_curves(metrics):
    figure = training_figure(metrics, {"bigram": 4.0, "5-gram": 3.95})
    figure.draw_without_rendering()
    top, _ = figure.axes
    first, second = (text.get_window_extent() for text in top.texts)
    assert not first.overlaps(second)
    assert max(text.zorder for text in top.texts) < line(top, "training").zorder


def test_a_baseline_far_above_the_curve_does_not_squeeze_it(metrics):
    top, _ = training_figure(metrics, {"uniform": 40.0}).axes
    assert top.get_ylim()[1] < 10 and not top.texts


def test_a_learning_rate_of_zero_does_not_reach_the_log_axis(metrics):
    metrics["learning_rate"][0] = 0.0
    _, bottom = training_figure(metrics).axes
    assert len(bottom.get_lines()[0].get_ydata()) == len(metrics["steps"]) - 1


def test_both_plots_are_png_files_of_a_readable_size(metrics, tmp_path, entries):
    draw_training_curve(metrics, tmp_path / "training_curve.png", BASELINES)
    draw_loss_by_epoch(entries, tmp_path / "loss_by_epoch.png")
    for name in ("training_curve.png", "loss_by_epoch.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) >= 600
            assert len(image.convert("RGB").getcolors(1 << 20)) > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss_by_epoch.png", "training_curve.png"]


def test_drawing_twice_gives_the_same_bytes(metrics, tmp_path):
    draw_training_curve(metrics, tmp_path / "a.png")
    draw_training_curve(metrics, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert svg(training_figure(metrics), "x") == svg(training_figure(metrics), "x")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_run_of_hardly_any_entries_can_be_drawn(metrics, tmp_path, count, entries):
    draw_training_curve({key: values[:count] for key, values in metrics.items()}, tmp_path / "curve.png", BASELINES)
    draw_loss_by_epoch(entries[:count], tmp_path / "epochs.png")
    Image.open(tmp_path / "curve.png").load()
    Image.open(tmp_path / "epochs.png").load()


def test_each_epoch_is_one_marked_point_mean_of_training_and_last_of_validation(entries):
    (axes,) = epoch_figure(entries).axes
    training, validation = line(axes, "training, mean"), line(axes, "validation, last")
    for epoch in range(3):
        of_epoch = [e for e in entries if e["epoch"] == epoch and e["step"] > 0]
        mean = sum(e["train_loss"] for e in of_epoch) / len(of_epoch)
        assert training.get_ydata()[epoch] == pytest.approx(mean)
        assert validation.get_ydata()[epoch] == [e["val_loss"] for e in of_epoch if e["val_loss"]][-1]
    assert list(training.get_xdata()) == [0, 1, 2]
    assert training.get_marker() != "None" and validation.get_marker() != "None"


def test_a_single_epoch_is_a_visible_point(entries):
    (axes,) = epoch_figure([e | {"epoch": 0} for e in entries]).axes
    assert list(line(axes, "training, mean").get_xdata()) == [0]
    assert axes.get_xlim() == (-0.5, 0.5)
    assert list(axes.get_xticks()) == [0]


def test_a_very_long_curve_is_thinned_without_losing_its_extremes():
    steps = list(range(100_000))
    losses = [5.0 + 0.1 * (step % 2) for step in steps]
    losses[54_321], losses[70_001] = 9.0, 1.0
    empty = [None] * len(steps)
    metrics = {
        "steps": steps,
        "epochs": empty,
        "train_loss": losses,
        "val_loss": empty,
        "learning_rate": empty,
    }
    top, _ = training_figure(metrics, most=1000).axes
    drawn = dict(zip(*line(top, "training").get_data(), strict=True))
    assert len(drawn) <= 1100
    assert drawn[54_321] == 9.0 and drawn[70_001] == 1.0
    assert list(drawn) == sorted(drawn)


def test_svg_follows_the_page_and_fetches_nothing(metrics):
    text = svg(training_figure(metrics, BASELINES), "curve")
    assert text.startswith("<svg viewBox=")
    assert "http" not in text and "<script" not in text and "<?xml" not in text
    assert "var(--blue)" in text and "var(--red)" in text and "var(--green)" in text and "var(--ink)" in text
    assert ">bigram 4.72<" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for used in re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text):
        assert "".join(used) in ids
