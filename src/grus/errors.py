"""The exception tree of Grus.

    GrusError
    ├── UsageError(ValueError)              an option or argument that cannot be used
    ├── DataError(ValueError)               the user's data: file, row, column, value
    ├── SpecError(ValueError)               a model description that does not hold together
    ├── ModelFolderError(ValueError)        a model folder or state that is damaged, foreign or in the way
    ├── UnsupportedError(NotImplementedError)   the capability table says this back end cannot
    ├── NotFittedError(ValueError, AttributeError)
    ├── MissingExtraError(ImportError)      an optional dependency is not installed
    ├── DivergenceError(ArithmeticError)    training went to NaN or infinity
    └── TrainingInterrupted                 Ctrl-C while training; a checkpoint remains

Every message is one sentence: what, where, must be, got. ``hint`` says what to do about it.
"""


class GrusError(Exception):
    """Base of every error that Grus raises on purpose; ``hint`` is one sentence of advice, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(GrusError, ValueError):
    """An option or argument that cannot be used as given."""


class DataError(GrusError, ValueError):
    """Something is wrong in the user's data; the message names file, row, column and value where known."""


class SpecError(GrusError, ValueError):
    """A model description that does not hold together."""


class ModelFolderError(GrusError, ValueError):
    """A model folder (or state blob) that is missing, damaged, foreign, or would be overwritten."""


class UnsupportedError(GrusError, NotImplementedError):
    """The capability table says that this back end cannot do this."""


class NotFittedError(GrusError, ValueError, AttributeError):
    """An estimator was used before ``fit``; same bases as scikit-learn's own error."""


class MissingExtraError(GrusError, ImportError):
    """An optional dependency is missing; the hint is the install command."""


class DivergenceError(GrusError, ArithmeticError):
    """A loss, gradient or validation score is NaN or infinite; the message names step and learning rate."""


class TrainingInterrupted(GrusError):  # noqa: N818  (an interruption, not a fault)
    """Training was stopped by Ctrl-C; the message says where the checkpoint is and how to go on."""
