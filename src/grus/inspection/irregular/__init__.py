"""Which measurement said what, and when: one row of irregular series."""
