"""From stored cases to batches: training grid, draw, augmentation, test patients."""
