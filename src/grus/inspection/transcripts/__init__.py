"""The report of a transcriber."""
