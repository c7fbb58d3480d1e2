"""Metrics: every name in one table, and their exposition."""

from seawall.telemetry.conventions import METRICS, Metric
from seawall.telemetry.prometheus import Exposed, negotiate, render

__all__ = ["METRICS", "Exposed", "Metric", "negotiate", "render"]
