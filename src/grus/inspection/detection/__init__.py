"""The report of a detector: series with their events, scores, what was missed and what was false."""
