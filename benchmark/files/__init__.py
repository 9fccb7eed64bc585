"""Folders that appear whole or not at all: atomic commit, locks, checksums."""
