"""Who is admitted, from made-up histories of visits with several codes each: it is their order that says it.

Every patient has one visit with the code ``kidney`` and another with ``heart``, among visits with codes that hardly
matter. The risk is high where ``heart`` came after ``kidney``, and the higher the later; which codes there are, and how
often, says next to nothing. A bag of codes cannot know that, and a recurrent network can. No one here is a patient, no
rule here is medicine, and what comes out is not a medical device.

    python examples/visits.py [--patients 1000] [--epochs 12]
"""

import argparse
import sys

import numpy as np

from grus import Classifier

OTHERS = ("allergy", "back", "check-up", "cold", "diabetes", "eye", "hip", "sleep", "skin", "travel")
RARE = 0.3
MONTHS = 24


def make_visits(patients: int, seed: int) -> dict[str, np.ndarray]:
    """A long table, a row for each code of each visit: patient, date, code, and whether the patient was admitted."""
    random = np.random.default_rng(seed)
    table: dict[str, list[object]] = {name: [] for name in ("patient", "date", "code", "admitted")}
    for patient in range(patients):
        visits = int(random.integers(4, 11))
        days = np.sort(random.choice(MONTHS * 30, visits, replace=False))
        kidney, heart = random.choice(visits, 2, replace=False)
        codes = [set(random.choice(OTHERS, random.integers(1, 4), replace=False)) for _ in range(visits)]
        codes[kidney].add("kidney")
        codes[heart].add("heart")
        diabetes = any("diabetes" in visit for visit in codes)
        recent = np.exp(-(days[-1] - days[heart]) / 120)
        odds = -2.0 + 0.5 * diabetes + (heart > kidney) * (1.0 + 3.5 * recent)
        admitted = "yes" if random.random() < 1 / (1 + np.exp(-odds)) else "no"
        for day, visit in zip(days, codes):
            for code in sorted(visit):
                row = (patient, np.datetime64("2023-01-01") + int(day), code, admitted)
                for name, value in zip(table, row):
                    table[name].append(value)
    return {name: np.array(values) for name, values in table.items()}


def twins() -> dict[str, np.ndarray]:
    """Two patients with the same codes on the same days, but for one thing: which of two came first."""
    days = ("2024-01-10", "2024-02-20", "2024-03-05", "2024-06-01")
    orders = {
        "kidney, then heart": ("cold", "kidney", "heart", "eye"),
        "heart, then kidney": ("cold", "heart", "kidney", "eye"),
    }
    rows = [(name, day, code) for name, codes in orders.items() for day, code in zip(days, codes)]
    rows += [
        (name, days[1], "check-up") for name in orders
    ]  # another code of a visit is another row of its date
    return {
        "patient": np.array([row[0] for row in rows]),
        "date": np.array([row[1] for row in rows], "M8[D]"),
        "code": np.array([row[2] for row in rows]),
    }


def main() -> None:
    """Train on some patients, and compare with both baselines on others that nothing has seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    train, test = make_visits(args.patients, 0), make_visits(args.patients, 1)
    visits = len({(p, d) for p, d in zip(train["patient"].tolist(), train["date"].tolist())})
    first = np.unique(train["patient"], return_index=True)[1]
    admitted = (train["admitted"][first] == "yes").mean()
    print(
        f"{args.patients} patients, {visits / args.patients:.1f} visits each, {len(train['code']) / visits:.1f} codes a"
        f" visit, {admitted:.0%} admitted"
    )
    model = Classifier(
        kind="events", id="patient", time="date", code="code", label="admitted", bidirectional=False, pool="last",
        hidden_size=32, dropout=0.2, learning_rate=3e-3, epochs=args.epochs, device="cpu", log="none",
    )  # fmt: skip
    model.fit(train, progress="quiet", report_plan=lambda lines: print("\n".join(lines), file=sys.stderr))
    for row in model.evaluate(test).rows():
        print(f"{row['model']:20} accuracy {row['accuracy']:.3f}, log loss {row['log_loss']:.3f}")
    answers = model.live_.predict(twins(), proba=True)
    for name, p in zip(answers["patient"], answers["p_yes"]):
        print(f"{name}: probability {p:.2f}")


if __name__ == "__main__":
    main()
