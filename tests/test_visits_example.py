"""The example of made-up visits runs, at a small size; what it makes is what it says; a visit holds several codes."""

import numpy as np

from example_script import load_example
from grus import Classifier


def test_it_trains_compares_and_turns_the_order_around(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["visits.py", "--patients", "300", "--epochs", "4"])
    load_example("visits").main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("300 patients, ")
    assert [line.split(" accuracy ")[0].strip() for line in lines[1:4]] == [
        "model",
        "majority",
        "bag of codes",
    ]
    loss = [float(line.split()[-1]) for line in lines[1:4]]
    assert loss[0] < min(loss[1:]) - 0.05
    assert [line.split(":")[0] for line in lines[4:]] == ["kidney, then heart", "heart, then kidney"]
    first, second = (float(line.split()[-1]) for line in lines[4:])
    assert first > second + 0.1


def test_the_order_decides_and_the_codes_hardly_do():
    module = load_example("visits")
    table = module.make_visits(600, 0)
    again = module.make_visits(600, 0)
    assert all(np.array_equal(table[name], again[name]) for name in table)
    late = {True: [], False: []}
    for patient in range(600):
        own = table["patient"] == patient
        days = {code: table["date"][own & (table["code"] == code)] for code in ("kidney", "heart")}
        assert [len(found) for found in days.values()] == [1, 1]
        late[bool(days["heart"][0] > days["kidney"][0])].append(table["admitted"][own][0] == "yes")
    assert np.mean(late[True]) > 2 * np.mean(late[False])


def test_rows_of_one_date_are_one_visit_of_all_its_codes():
    module = load_example("visits")
    table = module.make_visits(40, 3)
    model = Classifier(
        kind="events", id="patient", time="date", code="code", label="admitted", hidden_size=4, epochs=1, device="cpu",
        log="none",
    ).fit(table, progress="quiet")  # fmt: skip
    live = model.live_
    examples = live.examples(table)
    seen = live.sequences(examples)
    known = live.model.preprocess[0].codes
    assert set(known) == set(table["code"].tolist())
    inputs, lengths = seen.batch(np.arange(len(seen)))
    for patient in range(40):
        own = table["patient"] == patient
        dates = np.unique(table["date"][own])
        assert lengths[patient] == len(dates)
        for step, date in enumerate(dates):
            codes = set(table["code"][own & (table["date"] == date)].tolist())
            row = inputs["x"][patient, step, : len(known)]
            assert {known[i] for i in np.flatnonzero(row)} == codes
            assert row.sum() == len(codes)
    mixed = np.random.default_rng(0).permutation(len(table["code"]))
    shuffled = {name: values[mixed] for name, values in table.items()}
    found, again = live.predict(table, proba=True), live.predict(shuffled, proba=True)
    order = {patient: row for row, patient in enumerate(again["patient"].tolist())}
    place = [order[patient] for patient in found["patient"].tolist()]
    np.testing.assert_array_equal(again["p_yes"][place], found["p_yes"])
