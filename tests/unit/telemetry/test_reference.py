from tools.metrics_reference import PAGE, page


def test_the_reference_of_the_metrics_is_that_of_the_code():
    """R-MT1: all names in one table."""
    assert PAGE.read_text("utf-8") == page(), "run: tools/metrics_reference.py --write"
