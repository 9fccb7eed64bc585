"""Metrics and statistics: pure functions over arrays and rows. Imports numpy and scipy only."""
