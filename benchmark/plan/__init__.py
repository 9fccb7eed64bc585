"""What is to be trained, as plain values: nodes, keys, folds, presets. No torch here."""
