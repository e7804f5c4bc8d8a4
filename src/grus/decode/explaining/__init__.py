"""One step of one cell on paper: `grus.explain`."""
