"""Torch modules read by duck typing into spec graphs; nothing here imports torch before the caller has.

A GRU or another leaf stands for itself; any other module is traced with torch.fx, and every step of its ``forward``
must be one that the spec has an op for. What was read is run beside the exported file, so a wrong reading is noticed.
"""

import operator
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from grus.errors import UnsupportedError, UsageError
from grus.export.torch_modules.parts import (
    Pair,
    State,
    Traced,
    is_leaf,
    leaf,
    plain,
    unsupported,
    without_weights,
)
from grus.spec import ops


def trace(module: Any) -> Traced:
    """Read a torch module.

    Raises:
        UnsupportedError: it has a part, or a step of its ``forward``, that no op of the spec is.
    """
    if next(iter(module.parameters()), None) is None:
        raise UsageError(f"export: {type(module).__name__} has no weights, so there is nothing to export")
    found = Traced(module)
    if is_leaf(module):
        return _lone(found, module)
    fx = import_module("torch.fx")  # torch is here already: the module is made of it

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return is_leaf(m) or super().is_leaf_module(m, module_qualified_name)

    try:
        nodes = list(Tracer().trace(module).nodes)
    except (TypeError, ValueError, AttributeError, RuntimeError, LookupError) as error:
        raise UnsupportedError(
            f"export: {type(module).__name__}.forward must be traceable by torch.fx, but: {error}",
            hint="export the nn.GRU inside it, or write the module as a spec",
        ) from error
    read_steps(found, module, nodes)
    return found


def _lone(found: Traced, module: Any) -> Traced:
    """A module that is one op by itself."""
    op, kind, size = leaf(module)
    x = found.add_port("x", kind, size)
    name = found.add(type(op).__struct_config__.tag, op, x, module=module)  # type: ignore[arg-type]
    found.outputs["out"] = name
    if isinstance(op, ops.GRU):
        state = State(name, op)
        found.arguments.append(state)
        found.outputs["state"] = state
        found.batch_first = bool(module.batch_first)
    return found


def read_steps(found: Traced, module: Any, steps: list[Any]) -> None:
    """Read the steps of a traced ``forward``; see `trace`."""
    values: dict[Any, Any] = {}
    for step in steps:
        if step.op == "placeholder":
            values[step] = _placeholder(found, module, step)
        elif step.op == "call_module":
            values[step] = _call_module(found, module.get_submodule(step.target), step, values)
        elif step.op in ("call_function", "call_method"):
            values[step] = _call(found, step, values)
        elif step.op == "output":
            _output(found, step.args[0], values)
        else:
            raise unsupported(f"{step.op} {step.target}")


def _placeholder(found: Traced, module: Any, step: Any) -> Any:
    """An argument of forward: a sequence, tokens, or the initial state of a GRU, as the module that reads it says."""
    for user in step.users:
        part = module.get_submodule(user.target) if user.op == "call_module" else None
        if part is None or without_weights(part):
            continue
        op, kind, size = leaf(part)
        if user.args[0] is step:
            return found.add_port(step.name, kind, size)
        if isinstance(op, ops.GRU) and list(step.users) == [user]:
            state = State(plain(user.name), op)
            found.arguments.append(state)
            return state
    raise unsupported(f"argument {step.target!r} of forward, which no layer reads directly,")


def _call_module(found: Traced, part: Any, step: Any, values: Mapping[Any, Any]) -> Any:
    x = values.get(step.args[0])
    if not isinstance(x, str):
        raise unsupported(f"what {step.target} reads")
    function = without_weights(part)
    if function:
        return _function(found, step.name, function, [x], step)
    op, _, _ = leaf(part)
    name = found.add(step.name, op, x, module=part)
    if not isinstance(op, ops.GRU):
        return name
    if not part.batch_first:
        raise unsupported(f"GRU {step.target} with batch_first=False inside another module")
    start = step.args[1] if len(step.args) > 1 else step.kwargs.get("hx")
    if set(step.kwargs) - {"hx"} or not (start is None or isinstance(values.get(start), State)):
        raise unsupported(f"what GRU {step.target} reads besides its input")
    return Pair(name, State(name, op))


_NAMES = {
    operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.getitem: "getitem",
    operator.iadd: "add", operator.isub: "sub", operator.imul: "mul",
}  # fmt: skip


def _call(found: Traced, step: Any, values: Mapping[Any, Any]) -> Any:
    """A function or method of tensors."""
    name = str(step.target if step.op == "call_method" else _NAMES.get(step.target, step.target.__name__))
    if name == "getitem":
        return _item(found, step, values[step.args[0]], step.args[1])
    first = step.args[0] if step.args else None
    arguments = first if name in ("cat", "concat") and isinstance(first, list | tuple) else step.args
    known = [values[a] for a in arguments if a in values] if all(map(_hashable, arguments)) else []
    if not known or not all(isinstance(value, str) for value in known):
        raise unsupported(f"{name} in forward")
    return _function(found, step.name, name, known, step)


def _function(found: Traced, node: str, name: str, inputs: list[str], step: Any) -> str:
    """A function of values; its other arguments must be those that mean what the op does."""
    others = [a for a in step.args if not _hashable(a) or type(a).__name__ != "Node"]
    if name == "identity":
        return inputs[0]
    if name in ("relu", "tanh", "sigmoid"):
        return found.add(node, ops.Activation(name), *inputs)
    if name == "dropout":
        return found.add(node, ops.Dropout(0.0), *inputs)
    binary = {"add": ops.Add, "sub": ops.Subtract, "mul": ops.Multiply}
    if name in binary and len(inputs) == 2 and not step.kwargs:
        return found.add(node, binary[name](), *inputs)
    axis = step.kwargs.get("dim", others[-1] if others else None)
    if name in ("cat", "concat") and axis in (-1, 2) and set(step.kwargs) <= {"dim"}:
        return found.add(node, ops.Concat(), *inputs)
    if name in ("mean", "amax") and axis in (1, -2) and set(step.kwargs) <= {"dim"} and len(others) < 2:
        return found.add(node, ops.Pool("mean" if name == "mean" else "max"), *inputs)
    raise unsupported(f"{name} in forward, with these arguments,")


def _item(found: Traced, step: Any, value: Any, index: Any) -> Any:
    if isinstance(value, Pair) and index in (0, 1):
        return value[index]
    whole = slice(None)
    if isinstance(value, str) and index in ((whole, -1), (whole, -1, whole)):
        return found.add(step.name, ops.Last(), value)
    if isinstance(value, State) and index == -1:
        end = value.op.layers * value.op.directions * value.op.hidden
        return found.add(step.name, ops.Columns(end - value.op.hidden, end), f"{value.node}.h")
    raise unsupported(f"index {index!r} in forward")


def _hashable(argument: Any) -> bool:
    return not isinstance(argument, list | dict | tuple | slice)


def _output(found: Traced, result: Any, values: Mapping[Any, Any]) -> None:
    """What forward returns: one value, or several in tuples, lists and dicts."""
    named = dict(_named("out", result, values))
    for name, value in named.items():
        if not isinstance(value, str | State):
            raise unsupported(f"what forward returns as {name}")
        found.outputs[name] = value


def _named(name: str, result: Any, values: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    if isinstance(result, Mapping):
        return [pair for key, value in result.items() for pair in _named(plain(str(key)), value, values)]
    if isinstance(result, list | tuple) and not isinstance(result, Pair | State):
        pairs = enumerate(result)
        return [pair for number, value in pairs for pair in _named(f"{name}_{number}", value, values)]
    value = values.get(result) if _hashable(result) else None
    if isinstance(value, Pair):
        return [(f"{name}_0", value.output), (f"{name}_1", value.state)]
    return [(name, value)]
