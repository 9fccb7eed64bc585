"""Sweeps: hyper-parameters tuned by Optuna on inner validation patients alone."""
