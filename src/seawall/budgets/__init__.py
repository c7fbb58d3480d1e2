"""Budgets: how much of something that helps one caller may be spent before it harms all."""

from seawall.budgets.retry import RetryBudget

__all__ = ["RetryBudget"]
