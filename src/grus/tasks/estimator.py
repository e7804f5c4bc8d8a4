"""What all estimators share: scikit-learn's parameter habits."""

import inspect
from typing import Any, Self

from grus.errors import NotFittedError, UsageError


class Estimator:
    """Parameters are the constructor's arguments, stored unchanged; what is learned ends in an underscore."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name (``deep`` is scikit-learn's; there is nothing nested)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; raises UsageError for a name that is not one."""
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise UsageError(
                    f"{type(self).__name__}: no parameter {name!r}; the parameters are {', '.join(names)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The constructor call, without the arguments that stand at their defaults."""
        defaults = inspect.signature(type(self).__init__).parameters

        def changed(name: str, value: Any) -> bool:
            default = defaults[name].default
            return type(value) is not type(default) or bool(value != default)  # so arrays are not compared

        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if changed(name, value)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has been called."""
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise NotFittedError(
                f"{name}: call fit before this", hint=f"{name}(...).fit(data), or grus.load(folder)"
            )
