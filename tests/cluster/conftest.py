"""Clusters of our own; without the package there are none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[object]:
    """Three nodes with one CPU each; the first is the head, where commands are given."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    from ray_nodes import cluster

    with cluster(3) as nodes:
        yield nodes
