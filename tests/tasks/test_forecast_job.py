"""The training job: losses by hand, missing truth left out, batches that depend on nothing but their number."""

import numpy as np
import pytest
import torch
from forecast_tables import table

from example_series import random_forecaster
from grus.errors import UsageError
from grus.models import GraphModule
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.tasks.forecast_job import ForecastJob, Windows, series_code, truth

NAN = float("nan")


class Says(torch.nn.Module):
    """Puts out what it is told, whatever comes in."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = torch.nn.Parameter(torch.as_tensor(outputs, dtype=torch.float32))

    def forward(self, inputs):
        return {"forecast": self.outputs}


def job_of(model=None, loss="mae", quantiles=(), validation=None, gaps=(), **options):
    data = table(lengths=(60, 50))
    data["y"][list(gaps)] = NAN
    panel = build_panel(data, Roles("y", "unique_id", "ds"))
    live = random_forecaster(panel, quantiles=quantiles)
    preprocessor = live._preprocessor
    train = Windows(np.repeat([0, 1], 20), np.concatenate([np.arange(12, 32), np.arange(72, 92)]))
    validation = Windows(np.array([0, 1, 1]), np.array([50, 100, 104])) if validation is None else validation
    settings = {"batch_size": 16, "windows_per_epoch": 1000, "seed": 0, "series_code": None} | options
    return ForecastJob(
        GraphModule(live.model.parts["main"]) if model is None else model, preprocessor,
        preprocessor.features(panel), train, validation, steps_out=live.steps, loss=loss, quantiles=quantiles,
        **settings,
    )  # fmt: skip


TRUTH = torch.tensor([[1.0, 2.0, NAN], [NAN, 5.0, 0.0]])
SAYS = [[[1.5], [0.0], [9.0]], [[9.0], [6.0], [-3.0]]]
#: errors of the known values: -.5, 2, -1, 3
EXPECTED = {"mae": 6.5 / 4, "mse": (0.25 + 4 + 1 + 9) / 4, "huber": (0.125 + 1.5 + 0.5 + 2.5) / 4}


@pytest.mark.parametrize("loss", EXPECTED)
def test_a_loss_is_the_mean_over_known_values(loss):
    job = job_of(Says(SAYS), loss)
    job._horizon = 3
    value, carry = job.loss({"truth": TRUTH, "past": torch.zeros(2, 1)}, None)
    assert value.item() == pytest.approx(EXPECTED[loss])
    assert carry is None


def test_the_pinball_loss_by_hand():
    outputs = torch.tensor(SAYS).expand(-1, -1, 2).clone()
    outputs[..., 1] += 1
    job = job_of(Says(outputs), quantiles=(0.1, 0.9))
    job._horizon = 3
    value, _ = job.loss({"truth": TRUTH}, None)
    low = sum(max(0.1 * e, -0.9 * e) for e in (-0.5, 2, -1, 3))
    high = sum(max(0.9 * e, -0.1 * e) for e in (-1.5, 1, -2, 2))
    assert value.item() == pytest.approx((low + high) / 8)


def test_the_pinball_loss_is_least_at_the_quantile():
    values = torch.from_numpy(np.random.default_rng(0).exponential(size=(4001, 1)))
    for q in (0.1, 0.5, 0.9):
        best = float(torch.quantile(values, q))
        losses = []
        for shift in (-0.05, 0.0, 0.05):
            job = job_of(Says(torch.full((4001, 1, 1), best + shift)), quantiles=(q,))
            job._horizon = 1
            losses.append(job.loss({"truth": values.float()}, None)[0].item())
        assert losses[1] < min(losses[0], losses[2])


@pytest.mark.parametrize("loss", [*EXPECTED, "pinball"])
def test_masked_values_have_neither_loss_nor_gradient(loss):
    quantiles = (0.5,) if loss == "pinball" else ()
    job = job_of(Says(SAYS), "mae" if quantiles else loss, quantiles)
    job._horizon = 3
    value, _ = job.loss({"truth": TRUTH}, None)
    value.backward()
    gradient = job.model.outputs.grad[..., 0]
    assert ((gradient != 0) == ~torch.isnan(TRUTH)).all()
    wild = Says(SAYS)
    wild.outputs.data[torch.isnan(TRUTH)] = 1e30
    job.model = wild
    assert job.loss({"truth": TRUTH}, None)[0].item() == value.item()


def test_a_batch_without_any_truth_is_zero_and_not_nan():
    job = job_of(Says(SAYS))
    job._horizon = 3
    value, _ = job.loss({"truth": torch.full((2, 3), NAN)}, None)
    value.backward()
    assert value.item() == 0.0
    assert torch.isfinite(job.model.outputs.grad).all()


def test_an_unknown_loss():
    with pytest.raises(UsageError, match="loss must be 'mae', 'mse' or 'huber', got 'rmse'"):
        job_of(loss="rmse")


def test_an_epoch_holds_every_window_once():
    job = job_of()
    assert job.steps(0) == 3  # 40 windows in batches of 16
    batches = [job.batch(0, step)["past"] for step in range(3)]
    assert [len(batch) for batch in batches] == [16, 16, 8]
    everything = job._arrays(job._train)["past"]
    seen = sorted(row.tobytes() for batch in batches for row in batch)
    assert seen == sorted(row.tobytes() for row in everything)
    assert len(set(seen)) == 40


def test_an_epoch_may_be_a_sample_that_differs_from_epoch_to_epoch():
    job = job_of(windows_per_epoch=10, batch_size=4)
    assert [job.steps(epoch) for epoch in (0, 1)] == [3, 3]
    epochs = [
        {row.tobytes() for step in range(3) for row in job.batch(epoch, step)["past"]} for epoch in range(4)
    ]
    assert [len(epoch) for epoch in epochs] == [10] * 4
    assert len(set.union(*epochs)) > 20


def test_a_batch_is_a_function_of_its_number_alone():
    """Whatever was asked for before: that is what makes a resumed run the same."""
    one, two = job_of(series_code="static_code_0"), job_of(series_code="static_code_0")
    wanted = [one.batch(epoch, step) for epoch in range(2) for step in range(3)]
    for number in (5, 0, 3, 3, 1, 4, 2):
        again = two.batch(*divmod(number, 3))
        for name, values in wanted[number].items():
            np.testing.assert_array_equal(again[name], values, err_msg=name)
    other = job_of(seed=1).batch(0, 0)
    assert (other["past"] != wanted[0]["past"]).any()


def test_the_validation_score_is_the_mean_over_known_values():
    """Not the mean of the means of batches, where batches lack different numbers of values."""
    import grus.tasks.forecast_job as module

    job = job_of(gaps=(51, 52, 53, 54, 101))
    job.model.eval()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_VALIDATION_BATCH", 1)
        ((name, value),) = job.validate().items()
        arrays = job._arrays(job._validation)
        outputs = job.model({k: torch.from_numpy(v) for k, v in arrays.items() if k != "truth"})["forecast"]
    assert name == "validation_loss"
    error = np.abs(outputs[:, :6, 0].numpy() - arrays["truth"])
    assert np.isnan(error).sum() == 5
    assert value == pytest.approx(np.nanmean(error), rel=1e-6)


def test_no_validation_windows_no_score():
    none = Windows(np.empty(0, np.int64), np.empty(0, np.int64))
    assert job_of(validation=none).validate() == {}


def test_windows_are_thinned_evenly():
    windows = Windows(np.arange(100), np.arange(100) * 2)
    assert len(windows.thinned(100)) == 100
    assert windows.thinned(100) is windows
    few = windows.thinned(4)
    assert few.series.tolist() == [0, 33, 66, 99]
    assert few.origins.tolist() == [0, 66, 132, 198]


def test_truth_is_scaled_and_missing_where_it_is_missing():
    panel = build_panel({"y": np.array([1.0, 2, 3, NAN, 5])}, Roles("y"))
    live = random_forecaster(panel)
    features = live.features(panel)
    found = truth(features, Windows(np.zeros(2, int), np.array([1, 2])), 3)
    expected = (np.array([[2, 3, NAN], [3, NAN, 5]]) - 2.75) / np.std([1, 2, 3, 5])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_port_of_the_series_code():
    assert series_code(("kind", "<series>"), "<series>") == "static_code_1"
    assert series_code(("kind",), "<series>") is None
