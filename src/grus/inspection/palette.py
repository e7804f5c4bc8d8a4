"""The colours of every picture: one accent for the model, ink for the truth, grey for the baselines.

Chosen to be told apart by lightness alone (at least 12 of the 100 steps of CIE L* from each other), so that they hold
up for colour-blind readers and in a black-and-white print; baselines differ from each other by dashes, never by hue.
The accent is the blue of Okabe and Ito (2008), lightened on a dark page.
"""

#: role -> (on a light page, on a dark page); matplotlib draws the first, the page's style sheet swaps in the second
ROLES = {
    "paper": ("#fffffe", "#14171a"),
    "ink": ("#1f2328", "#e6e8eb"),
    "soft": ("#5b6570", "#9aa5b1"),
    "grid": ("#e4e8ec", "#2b3138"),
    "model": ("#0072b2", "#56b4e9"),
    "baseline": ("#87919c", "#737e8a"),
    "validation": ("#eceff2", "#22282e"),
    "test": ("#d9eaf4", "#14344a"),
}

PAPER, INK, SOFT, GRID, MODEL, BASELINE, VALIDATION, TEST = (light for light, _ in ROLES.values())
TRUTH = INK

#: of the first, second, third ... baseline
DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (2, 3)),
)


def style_sheet(dark: bool) -> str:
    """The roles as CSS custom properties: ``--ink: #1f2328; ...``."""
    return " ".join(f"--{role}: {colours[dark]};" for role, colours in ROLES.items())
