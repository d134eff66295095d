"""Diffs, axes, curves, numbers and the choice of samples, each by hand or by a property."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togi.report import numbers as show
from togi.report.curves import line_plot, runs, thin
from togi.report.diff import words
from togi.report.files import StepFiles
from togi.report.judged import Judged
from togi.report.plots import LEFT, RIGHT, Mark, axis, interval_plot
from togi.report.samples import Depth, _chosen
from togi.report.training import families, series_of

TEXTS = st.text(alphabet="ab .\nÄ<\u0301", max_size=60)
NUMBERS = st.floats(-1e9, 1e9)


@given(before=TEXTS, after=TEXTS)
def test_a_diff_holds_both_texts_whole(before, after):
    parts = words(before, after)
    assert "".join(part.text for part in parts if part.change != "ins") == before
    assert "".join(part.text for part in parts if part.change != "del") == after
    assert all(part.text for part in parts)


@given(text=TEXTS)
def test_equal_texts_have_no_change(text):
    assert {part.change for part in words(text, text)} <= {"same"}


def test_changes_that_only_a_short_word_parts_are_one_phrase():
    parts = words("the long old tale of kings ended", "the long new story of queens ended")
    assert [tuple(part) for part in parts] == [
        ("same", "the long "),
        ("del", "old tale of kings"),
        ("ins", "new story of queens"),
        ("same", " ended"),
    ]


def test_an_axis_by_hand():
    scale = axis([0.0, 10.0], pad=0.0)
    middle = (LEFT + RIGHT) / 2
    assert (scale.at(0), scale.at(5), scale.at(10)) == (LEFT, middle, RIGHT)
    assert [text for _, text in scale.ticks] == ["0", "2", "4", "6", "8", "10"]
    assert scale.ticks[0][0] == LEFT


@given(values=st.lists(NUMBERS, min_size=1, max_size=6), whole=st.booleans())
def test_an_axis_holds_its_values_and_has_a_few_rising_ticks(values, whole):
    scale = axis(values, whole=whole)
    assert scale.low <= min(values) <= max(values) <= scale.high
    places = [place for place, _ in scale.ticks]
    assert places == sorted(places)
    assert len(places) <= 7
    assert all(LEFT <= place <= RIGHT for place in places)


def test_an_axis_of_nothing_and_of_one_value_is_still_an_axis():
    for values in ([], [None], [0.0], [3.0, 3.0], [1e-30], [-1e12]):
        scale = axis(values)
        assert scale.low < scale.high


def test_steps_are_counted_in_whole_numbers():
    assert [text for _, text in axis([1, 2], pad=0, whole=True).ticks] == ["1", "2"]
    long = axis([1, 60], pad=0, whole=True, most=4)
    assert [text for _, text in long.ticks] == ["20", "40", "60"]


def test_an_interval_plot_by_hand():
    marks = [Mark("a", "1", 1.0, 0.0, 2.0), Mark("b", "n too small", None, None, None)]
    plot = interval_plot(marks, id="f", title="t", axis_label="x", lines=[(2.0, "bar")])
    first, second = plot.rows
    assert first.dot == 50
    assert first.low is not None
    assert first.high is not None
    assert first.low + first.high == pytest.approx(100)
    assert (second.dot, second.low, second.high) == (None, None, None)
    assert plot.lines == ((first.high, "bar", 0),)
    assert plot.description == "x. a: 1; b: n too small."


def test_labels_of_near_references_stand_on_rows_of_their_own():
    marks = [Mark("a", "1", 0.0, -1.0, 9.0)]
    near = interval_plot(marks, id="f", title="t", axis_label="x", lines=[(0, "no"), (1, "bar")])
    far = interval_plot(marks, id="f", title="t", axis_label="x", lines=[(0, "no"), (9, "bar")])
    assert [row for _, _, row in near.lines] == [0, 1]
    assert [row for _, _, row in far.lines] == [0, 0]


def test_a_curve_by_hand_has_a_gap_where_a_value_is_undefined():
    points = [(1.0, 0.0), (2.0, 1.0), (3.0, None), (4.0, 0.0), (5.0, 1.0)]
    plot = line_plot({"loss": points}, id="f", title="t", x_label="step", y_label="loss")
    assert plot.gaps == 1
    (line,) = plot.lines
    assert len(line.strong) == 2
    assert line.faint == ()
    first = [tuple(map(float, point.split(","))) for point in line.strong[0].split()]
    assert [x for x, _ in first] == [0, 25]
    assert first[0][1] + first[1][1] == pytest.approx(100, abs=0.1)
    assert first[0][1] > first[1][1]  # the SVG's y points down


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=900))
def test_thinning_keeps_ends_and_extremes(values):
    points = [(float(place), value) for place, value in enumerate(values)]
    kept = thin(points, most=100)
    assert len(kept) <= 110
    assert set(kept) <= set(points)
    assert {points[0], points[-1]} <= set(kept)
    assert min(y for _, y in kept) == min(values)
    assert max(y for _, y in kept) == max(values)


@given(st.lists(st.one_of(st.none(), NUMBERS), max_size=30))
def test_cutting_at_gaps_loses_no_value(values):
    parts = runs([(float(place), value) for place, value in enumerate(values)])
    assert [y for part in parts for _, y in part] == [y for y in values if y is not None]


def test_a_resumed_runs_later_line_of_a_step_wins():
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 1.5, "x": "t"},
             {"step": 3, "loss": math.nan, "judge/loss": 1.0}]  # fmt: skip
    series = series_of(lines)
    assert series["loss"] == [(1.0, 3.0), (2.0, 1.5), (3.0, None)]
    assert series["judge/loss"] == [(3.0, 1.0)]
    assert "x" not in series


def test_chosen_and_rejected_share_a_plot_and_the_loss_comes_first():
    names = ["lr", "rewards/chosen", "rewards/rejected", "rewards/margins", "loss"]
    groups = families({name: [(1.0, 1.0)] for name in names})
    assert [list(group) for group in groups] == [
        ["loss"], ["rewards/margins"], ["rewards/chosen", "rewards/rejected"], ["lr"],
    ]  # fmt: skip


def judged(tmp_path, higher: bool) -> Judged:
    step = StepFiles(name="j", use="", hash="", status="done", seconds=1, folder=tmp_path)
    task = {"primary_measure": "m", "higher_is_better": higher}
    return Judged(step, {"tasks": {"t": task}, "models": ["a", "b"]})


@pytest.mark.parametrize("higher", [True, False])
def test_the_worst_and_the_best_samples_are_those_with_the_largest_changes(tmp_path, higher):
    sign = 1 if higher else -1
    values = {f"s{change}": {"a": 0.0, "b": sign * float(change)} for change in range(-5, 6)}
    values["odd"] = {"a": None, "b": 1.0}
    groups = dict(_chosen(judged(tmp_path, higher), "t", values, ("a", "b"), Depth(2, 100)))
    assert groups["Worst regressions"] == ["s-5", "s-4"]
    assert groups["Best gains"] == ["s5", "s4"]
    assert len(groups["Drawn blindly"]) == 1


def test_a_tie_is_neither_a_gain_nor_a_regression(tmp_path):
    values = {name: {"a": 1.0, "b": 1.0} for name in "xyz"}
    groups = dict(_chosen(judged(tmp_path, True), "t", values, ("a", "b"), Depth(2, 100)))
    assert list(groups) == ["Drawn blindly"]


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-6, 1e6))
def test_an_interval_is_shown_with_two_digits_of_its_half_width(low, width):
    places = show.decimals(low, low + width)
    assert places is None or 0 <= places <= 8
    if places is not None and places:
        assert 0.5 * 10.0 ** (1 - places) <= width <= 22 * 10.0 ** (1 - places)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "3", True, [], 10**400])
def test_what_is_no_number_is_never_shown_as_one(value):
    assert show.number(value) == "n too small"
    assert show.mean({"mean": value}) == "n too small"
    assert show.interval({"mean": 1.0, "low": value, "high": 2.0}) == "n too small"
    assert show.p_value(value) == "n too small"
