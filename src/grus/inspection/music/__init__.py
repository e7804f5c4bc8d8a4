"""Pictures of music, and the report of a model of it."""
