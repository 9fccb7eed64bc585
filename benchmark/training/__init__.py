"""Loops over tensors in memory: fit and predict. Knows no method, no disk, no data set."""
