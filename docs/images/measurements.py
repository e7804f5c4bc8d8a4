"""Draws measurements.png: one stay of examples/icu_stays.py, made up as all of them, as ``grus inspect`` shows it.

python docs/images/measurements.py
"""

import sys
from pathlib import Path

import numpy as np

from grus import Classifier
from grus.inspection.inside.case import classify_case
from grus.inspection.inside.findings import inspect_case
from grus.inspection.irregular.page import draw, line_order
from grus.inspection.plots import figure_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))


def main() -> None:
    """Train as the example does, and draw the stay of the test with the highest risk."""
    from icu_stays import CHANNELS, make_stays

    train, test = make_stays(600, 0), make_stays(100, 1)
    model = Classifier(
        id="stay", time="minute", label="died", columns=CHANNELS, irregular="decay", pool="last", hidden_size=32,
        learning_rate=3e-3, epochs=15, device="cpu", log="none",
    ).fit(train, progress="quiet")  # fmt: skip
    live = model.live_
    row = 1 + int(np.argmax(live.predict_proba(test)[:, live.task.labels.index("yes")]))
    found = inspect_case(live, model.tensors_, classify_case(live, live.examples(test), row, "yes"))
    assert found.measured is not None
    print(*found.measured.describe(), sep="\n")
    axes = draw(found, found.measured, line_order(found.measured))
    figure_of(axes[0]).savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
