"""The optional packages of the ONNX back end, asked for where they are needed."""

from importlib import import_module

from grus.errors import MissingExtraError


def need(*packages: str) -> None:
    """Raise MissingExtraError unless every one of ``onnx`` and ``onnxruntime`` that is named can be imported."""
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != package:
                raise
            raise MissingExtraError(
                f"ONNX needs {package}, which is not installed", hint="pip install 'grus[onnx]'"
            ) from error
