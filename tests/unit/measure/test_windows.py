"""Windows and histograms: numbers without opinions."""

import pytest

from seawall.core.snapshot import HistogramData
from seawall.measure.histogram import DURATION_BOUNDS, Histogram, quantile
from seawall.measure.windows import CountWindow, TimeWindow, TumblingWindow, WindowCounts


def test_an_empty_window_has_counts_but_no_rates():
    for window in (CountWindow(3), TimeWindow(10.0)):
        counts = window.counts(0.0)
        assert counts == WindowCounts()
        assert (counts.failure_rate, counts.slow_rate, counts.successes) == (None, None, 0)


def test_a_count_window_holds_the_last_outcomes_only():
    """R-CB2"""
    window = CountWindow(3)
    for failed, slow in [(True, True), (True, False), (False, True), (False, False)]:
        window.add(failed, slow, 0.5, 0.0)
    counts = window.counts(0.0)
    assert counts == WindowCounts(calls=3, failures=1, slow=1, slow_failures=0, duration=1.5)
    assert counts.failure_rate == pytest.approx(1 / 3)
    assert counts.slow_rate == pytest.approx(1 / 3)
    assert counts.successes == 2


def test_the_sum_of_durations_does_not_drift_however_long_the_window_slides():
    window = CountWindow(2)
    window.add(False, False, 1e16, 0.0)
    for _ in range(3):
        window.add(False, False, 0.1, 0.0)
    assert window.counts(0.0).duration == 0.2


def test_a_time_window_drops_whole_buckets():
    """R-CB2"""
    window = TimeWindow(10.0, buckets=10)
    window.add(True, False, 1.0, 0.5)
    window.add(False, True, 2.0, 5.5)
    assert window.counts(9.9).calls == 2
    assert window.counts(10.0) == WindowCounts(1, 0, 1, 0, 2.0)
    assert window.counts(15.0) == WindowCounts()


def test_outcomes_of_one_bucket_are_added_up():
    """R-CB2"""
    window = TimeWindow(10.0)
    window.add(True, True, 1.0, 3.1)
    window.add(True, False, 2.0, 3.9)
    assert window.counts(4.0) == WindowCounts(2, 2, 1, 1, 3.0)


def test_a_clock_that_goes_back_adds_to_the_newest_bucket():
    """R-CB2"""
    window = TimeWindow(10.0)
    window.add(False, False, 0.0, 50.0)
    window.add(True, False, 0.0, 20.0)
    assert window.counts(50.0).calls == 2
    assert window.counts(59.9).calls == 2
    assert window.counts(60.0).calls == 0


def test_a_time_window_takes_the_same_memory_for_any_traffic():
    """R-CB2"""
    window = TimeWindow(10.0)
    for n in range(100_000):
        window.add(False, False, 0.0, n / 1000)
    assert len(window._buckets) <= 11


def test_a_value_falls_into_the_bucket_whose_bound_it_does_not_pass():
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.data() == HistogramData((1.0, 2.0), (2, 2, 1), 6.6)


def test_the_data_of_a_histogram_is_a_copy():
    histogram = Histogram()
    before = histogram.data()
    histogram.observe(0.2)
    assert sum(before.counts) == 0
    assert list(DURATION_BOUNDS) == sorted(DURATION_BOUNDS)


@pytest.mark.parametrize(
    "counts, q, value",
    [
        ((0, 0, 0), 0.5, None),
        ((4, 0, 0), 0.5, 0.5),
        ((2, 2, 0), 0.5, 1.0),
        ((2, 2, 0), 0.75, 1.5),
        ((0, 4, 0), 0.0, 1.0),
        ((0, 4, 0), 1.0, 2.0),
        ((1, 0, 3), 0.99, 2.0),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(counts, q, value):
    found = quantile(HistogramData((1.0, 2.0), counts, 0.0), q)
    assert found == (None if value is None else pytest.approx(value))


def test_a_tumbling_window_forgets_everything_at_the_very_moment_it_ends():
    """R-CB2: `now == end` is the first moment of the next."""
    window = TumblingWindow(30.0)
    window.add(True, False, 1.0, 10.0)
    window.add(False, True, 2.0, 39.999)
    assert window.counts(39.999) == WindowCounts(2, 1, 1, 0, 3.0)
    assert window.counts(40.0) == WindowCounts()
    window.add(True, True, 1.0, 100.0)  # the next one begins with its first outcome
    assert window.counts(129.0).calls == 1
    assert window.counts(130.0).calls == 0


def test_a_tumbling_window_begins_anew_when_the_clock_goes_back():
    window = TumblingWindow(30.0)
    window.add(True, False, 1.0, 100.0)
    assert window.counts(50.0) == WindowCounts()
