"""Trained cells beside each other: what each run left, intervals of their errors and differences, which to pick."""
