"""The MLflow mirror of what is on disk. Nothing here is a source of truth."""
