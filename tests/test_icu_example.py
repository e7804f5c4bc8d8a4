"""The example of made-up intensive care stays runs, at a small size, and what it makes is what it says."""

import numpy as np

from example_script import load_example


def test_it_trains_compares_and_streams(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["icu_stays.py", "--stays", "80", "--epochs", "1"])
    load_example("icu_stays").main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("80 stays, ")
    assert [line.split()[0] for line in lines[1:3]] == ["mean", "decay"]
    *followed, strongest, parts = lines[3:]
    assert all(line.startswith("stay 0, minute ") for line in followed)
    assert len(followed) > 1
    assert " the probability of 'yes': " in strongest
    assert " at minute " in strongest
    assert parts.startswith("With nothing measured and no time passing the probability of 'yes' would be ")
    said = float(followed[-1].split()[-1])
    assert abs(float(parts.split("%. The parts miss")[0].split()[-1]) / 100 - said) < 0.006


def test_the_stays_are_as_they_are_described():
    module = load_example("icu_stays")
    table = module.make_stays(300, 0)
    again = module.make_stays(300, 0)
    assert all(np.array_equal(table[name], again[name], equal_nan=name in module.CHANNELS) for name in table)
    for stay in (0, 7, 299):
        minutes = table["minute"][table["stay"] == stay]
        assert (np.diff(minutes) > 0).all()
        assert minutes[-1] < 48 * 60
    measured = ~np.isnan(table["lactate"])
    assert 0.03 < measured.mean() < 0.2
    died = table["died"] == "yes"
    assert measured[died].mean() > measured[~died].mean()


def test_its_area_is_the_share_of_pairs():
    module = load_example("icu_stays")
    p, died = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    assert module.auc(p, died) == (1 + 0.5 + 1 + 1) / 4
