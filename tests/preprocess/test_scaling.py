"""Scalers: against NumPy, with holes, at the ends of float64, series by series."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError, UsageError
from grus.preprocess import scaling, storage
from grus.preprocess.scaling import apply, fit_scaler, fit_series_scaler, invert


def plain(values, method):
    """The definition, one series at a time."""
    present = values[~np.isnan(values)]
    if method == "none":
        return 0.0, 1.0
    if method == "standard":
        return present.mean(), present.std() or 1.0
    spread = np.subtract(*np.quantile(present, [0.75, 0.25])) / scaling.NORMAL_QUARTILES
    return np.median(present), spread or present.std() or 1.0


@pytest.fixture(params=[None, 7], ids=["one-piece", "pieces-of-7"])
def pieces(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(storage, "CHUNK", request.param)
        monkeypatch.setattr(scaling, "CHUNK", request.param)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("method", ["standard", "robust", "none"])
def test_every_series_by_itself_as_numpy_does(method):
    rng = np.random.default_rng(3)
    lengths = np.array([1, 30, 2, 5, 100, 3])
    offsets = np.concatenate(([0], lengths.cumsum()))
    values = rng.normal(size=offsets[-1]) * np.repeat(10.0 ** np.arange(6), lengths) + 5
    values[rng.random(offsets[-1]) < 0.3] = np.nan
    values[offsets[:-1]] = 1.0
    center, scale = fit_series_scaler(values, offsets, method)
    expected = np.array([plain(values[a:b], method) for a, b in itertools.pairwise(offsets)])
    np.testing.assert_allclose(center, expected[:, 0], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(scale, expected[:, 1], rtol=1e-13)


@pytest.mark.usefixtures("pieces")
def test_columns_as_series():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 10, 100] + 4
    x[::3, 1] = np.nan
    center, scale = fit_scaler(x)
    np.testing.assert_allclose(center, np.nanmean(x, 0), rtol=1e-13)
    np.testing.assert_allclose(scale, np.nanstd(x, 0), rtol=1e-13)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e300, 5e-324, 1e9 + 0.1])
@pytest.mark.parametrize("method", ["standard", "robust"])
def test_constant_columns_have_scale_one_and_become_zero(value, method):
    x = np.full((999, 1), value)
    center, scale = fit_scaler(x, method)
    assert center[0] == value
    assert scale[0] == 1
    assert not apply(x, center, scale).any()


def test_a_spread_of_rounding_alone_is_no_scale():
    x = np.array([0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2])[:, None]
    assert x[0] != x[1]
    assert fit_scaler(x)[1][0] == 1


def test_robust_falls_back_where_the_quartiles_coincide():
    x = np.array([0.0] * 20 + [100.0] * 2)[:, None]
    assert fit_scaler(x, "robust")[0][0] == 0
    assert fit_scaler(x, "robust")[1][0] == pytest.approx(x.std())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=20),
    st.sampled_from(["standard", "robust"]),
)
def test_no_finite_numbers_overflow(values, method):
    x = np.array(values)[:, None]
    if np.isnan(x).all():
        return
    center, scale = fit_scaler(x, method)
    assert np.isfinite(center).all()
    assert np.isfinite(scale).all()
    assert (scale > 0).all()
    z = apply(x, center, scale)
    np.testing.assert_array_equal(np.isfinite(z), ~np.isnan(x))


def test_standard_scores_stay_small_at_the_ends_of_float64():
    x = np.array([1.7e308, -1.7e308, 1.6e308, 0.0])[:, None]
    with np.errstate(over="raise"):
        z = apply(x, *fit_scaler(x))
    assert np.abs(z).max() < 2


def test_invert_undoes_apply():
    x = np.random.default_rng(1).normal(size=(40, 2)) * 50 + 1000
    fitted = fit_scaler(x)
    np.testing.assert_allclose(invert(apply(x, *fitted), *fitted), x, rtol=1e-14)


def test_a_column_of_nothing_is_an_error_naming_it():
    x = np.array([[1.0, np.nan], [2.0, np.nan]])
    with pytest.raises(DataError, match=r"^column 'hum': expected at least one value to fit a scale"):
        fit_scaler(x, names=("temp", "hum"))
    with pytest.raises(DataError, match=r"^column 1: expected"):
        fit_scaler(x)


def test_a_series_of_nothing_is_an_error_naming_it():
    values = np.array([1.0, np.nan, np.nan])
    with pytest.raises(DataError, match=r"^series 'B': expected at least one value to fit a scale"):
        fit_series_scaler(values, np.array([0, 1, 3]), ids=("A", "B"))
    with pytest.raises(DataError, match=r"^series 1: expected"):
        fit_series_scaler(values[:1], np.array([0, 1, 1]))


def test_unknown_method_is_a_usage_error():
    with pytest.raises(UsageError, match=r"^scaling: expected one of standard, robust, none, got 'minmax'$"):
        fit_scaler(np.zeros((2, 1)), "minmax")  # type: ignore[arg-type]


def test_nothing_given_is_changed():
    x = np.array([[1.0], [np.nan], [3.0]])
    before = x.copy()
    fit_scaler(x, "robust")
    np.testing.assert_array_equal(x, before)
