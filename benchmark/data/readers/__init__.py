"""Readers: one file per layout on a user's disk. Each yields `Volume`s and raises `BadInput`."""
