"""See what was trained: `record` makes arrays, `plots` draws them, `report` makes the page."""
