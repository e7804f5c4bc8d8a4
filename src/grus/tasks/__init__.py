"""Tasks: which data, spec, loss, metrics and report make up a job a user has."""
