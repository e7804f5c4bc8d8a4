"""What the plan says of missing values: how many there are, and what becomes of them."""

from grus.inspection.wording import percent
from grus.spec import IrregularForm

_MEANS: dict[IrregularForm, str] = {
    "mean": "its mean in training",
    "forward": "the last one known",
    "indicators": "the last one known, with masks and times beside it",
    "decay": "what GRU-D makes of the last one known and the time since (decay)",
}


def missing_line(share: float, form: IrregularForm) -> str:
    """``missing   40.0% of the values; each is the last one known``."""
    return f"missing   {percent(share)} of the values; each is {_MEANS[form]}"
