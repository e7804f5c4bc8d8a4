"""A search for settings, on reports and on the terminal."""
