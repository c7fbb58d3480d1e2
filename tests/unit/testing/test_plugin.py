"""The pytest plugin, as a project that installs seawall gets it."""

pytest_plugins = ["pytester"]


def test_the_fixtures_are_there_without_asking(pytester):
    """R-FI2"""
    pytester.makepyfile(
        """
        import seawall
        from seawall.backoff import Constant

        retry = seawall.Retry(3, backoff=Constant(base=60.0, cap=60.0, jitter="none"), name="shop")

        @retry
        def buy():
            raise ConnectionError

        def test_time_jumps(virtual_clock, seawall_recorder):
            try:
                buy()
            except ConnectionError:
                pass
            assert virtual_clock.now() == 120.0
            assert seawall_recorder.names() == ["CallFailed", "RetryScheduled"] * 2 + ["CallFailed", "RetryGaveUp"]

        def test_every_test_starts_afresh(virtual_clock, seawall_recorder):
            assert virtual_clock.now() == 0.0
            assert seawall_recorder.events == []
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:asyncio").assert_outcomes(passed=2)
