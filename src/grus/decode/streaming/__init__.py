"""Live models row by row: what a stream of each task remembers, and many keyed streams at once."""
