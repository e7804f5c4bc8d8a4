import contextlib
import io

import pytest
from cli_runs import HORIZON, TINY, hourly, write

from grus.cli import main


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Twenty days of hours."""
    return write(tmp_path_factory.mktemp("data") / "demand.csv", hourly())


@pytest.fixture(scope="session")
def model(tmp_path_factory, table):
    """A model folder made by the command line itself."""
    folder = tmp_path_factory.mktemp("models") / "demand"
    arguments = ["fit", "forecast", table, "--target", "y", "--horizon", HORIZON, "-o", folder, *TINY]
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = main([str(a) for a in arguments])
    assert code == 0, err.getvalue()
    return folder


@pytest.fixture(scope="session")
def promo_model(tmp_path_factory, table):
    """One that needs its covariate for the horizon."""
    folder = tmp_path_factory.mktemp("models") / "promo"
    arguments = ["fit", "forecast", table, "--target", "y", "--future", "promo", "--horizon", HORIZON]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main([str(a) for a in [*arguments, "-o", folder, *TINY]]) == 0
    return folder
