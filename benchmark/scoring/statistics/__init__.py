"""Statistics of paired comparisons: pure functions over arrays. numpy and scipy at import."""
