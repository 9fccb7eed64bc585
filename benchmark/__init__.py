"""Does a CT segmentation network learn more from ground-truth images than its loss tells it?

The floors of this package, and which may import which, are drawn in docs/architecture.md and
enforced by import-linter (pyproject.toml).
"""
