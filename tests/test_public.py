"""The public list, and how light ``import grus`` is."""

import json
import subprocess
import sys
import textwrap

import pytest

import grus

PUBLIC = [
    "AnomalyDetector",
    "ClassEvaluation",
    "Classifier",
    "Comparison",
    "DetectEvaluation",
    "Evaluation",
    "Forecaster",
    "GrusError",
    "LanguageEvaluation",
    "LanguageModel",
    "LiveClassifier",
    "LiveComposer",
    "LiveDetector",
    "LiveForecaster",
    "LiveGenerator",
    "LiveTranscriber",
    "LiveTranslator",
    "MusicEvaluation",
    "MusicModel",
    "Transcriber",
    "TranscriptionEvaluation",
    "Translation",
    "TranslationEvaluation",
    "Translator",
    "__version__",
    "accelerate",
    "compare",
    "decelerate",
    "explain",
    "load",
]
#: what may not come along with ``import grus``: torch and its friends, frames, pictures, the command line
HEAVY = (
    "torch", "lightning_fabric", "pyarrow", "narwhals", "pandas", "polars", "matplotlib", "jinja2", "typer", "rich",
    "sklearn", "scipy", "tokenizers", "numpy", "msgspec", "safetensors", "grus._native",
)  # fmt: skip
#: a live model reads folders and predicts with these alone
LIVE = ("numpy", "msgspec", "safetensors")


def python(code, *arguments):
    """Run code in a fresh interpreter and return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_the_public_list():
    assert grus.__all__ == PUBLIC
    assert dir(grus) == PUBLIC
    for name in PUBLIC:
        assert getattr(grus, name) is not None
    assert grus.Forecaster.__module__ == "grus.tasks.forecast"
    from grus.decode import Evaluation, LiveForecaster, load

    assert (grus.Evaluation, grus.LiveForecaster, grus.load) == (Evaluation, LiveForecaster, load)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'grus' has no attribute 'Forcaster'"):
        grus.Forcaster  # noqa: B018
    assert not hasattr(grus, "nothing")


def test_importing_grus_brings_nothing_heavy_along():
    loaded = python(
        """
        import json, sys
        import grus
        grus.GrusError, grus.__version__, dir(grus)
        print(json.dumps(sorted(sys.modules)))
        """
    )
    assert "grus" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith("grus")] == ["grus", "grus.errors"]


def test_a_live_model_needs_the_core_alone():
    loaded = python(
        """
        import json, sys
        import grus
        grus.load, grus.LiveForecaster, grus.Evaluation, grus.LiveClassifier, grus.ClassEvaluation
        grus.LiveGenerator, grus.LanguageEvaluation
        grus.LiveTranslator, grus.Translation, grus.TranslationEvaluation
        grus.LiveTranscriber, grus.TranscriptionEvaluation
        print(json.dumps(sorted(sys.modules)))
        """
    )
    assert [name for name in HEAVY if name in loaded and name not in (*LIVE, "grus._native")] == []
    floor = (
        "grus.nn",
        "grus.models",
        "grus.data",
        "grus.training",
        "grus.inspection",
        "grus.tasks",
        "grus.cli",
    )
    assert [name for name in loaded if name.startswith(floor)] == []


@pytest.mark.parametrize("package", ["torch", "lightning_fabric"])
def test_without_a_package_the_name_says_what_to_install(package):
    found = python(
        """
        import json, sys
        sys.modules[sys.argv[1]] = None
        import grus
        from grus.errors import GrusError, MissingExtraError
        try:
            grus.Forecaster
        except MissingExtraError as error:
            said = [str(error), error.hint, isinstance(error, ImportError), isinstance(error, GrusError)]
        grus.load, grus.LiveForecaster
        print(json.dumps(said))
        """,
        package,
    )
    assert found == [
        f"grus.Forecaster needs {package}, which is not installed", "pip install 'grus[train]'", True, True,
    ]  # fmt: skip


def test_a_broken_module_of_our_own_is_not_taken_for_a_missing_extra():
    found = python(
        """
        import json, sys
        sys.modules["grus.tasks.estimator"] = None
        import grus
        try:
            grus.Forecaster
        except ModuleNotFoundError as error:
            print(json.dumps([type(error).__name__, error.name]))
        """
    )
    assert found == ["ModuleNotFoundError", "grus.tasks.estimator"]
