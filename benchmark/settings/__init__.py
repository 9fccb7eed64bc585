"""Rows and their values: the registry, `--set`, and a row with every value resolved."""
