"""A look inside a network: gates and states, memory, attribution, and the page of ``grus inspect``."""
