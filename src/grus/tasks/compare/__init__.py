"""Comparing recurrent cells on one problem: which cell to pick, and whether the difference is more than noise."""
