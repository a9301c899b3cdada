"""A dry run: what a store holds, what it would cost to train on, and what stands in the way."""

from omicsfm.data.inspect.report import InspectReport, inspect

__all__ = ["InspectReport", "inspect"]
