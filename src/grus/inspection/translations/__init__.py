"""The report of a translator, and its attention as a picture."""
