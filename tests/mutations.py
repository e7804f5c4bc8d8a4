"""Damaged and hostile input for the fuzz tests: bytes and JSON changed at random places."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_AGAIN, _ENDLESS = "\ue000", 1.2345e300
_NUMBERS = (0, -1, 1, 2, 3, 7, 1 << 16, 1 << 24, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30)
_OTHERS = (0.5, -0.0, 5e-324, 1e308, _ENDLESS, True, None, "", "\ud800", "\0", "x" * 1000, [], {}, [[]], [0])


def fuzz_cases(in_ci: int) -> int:
    """How many cases a fuzz test makes: ``GRUS_FUZZ_CASES`` if it is set."""
    return int(os.environ.get("GRUS_FUZZ_CASES", in_ci))


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bits, bytes, whole runs left out, doubled or moved, an end cut off."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, len(out)))
        length = int(rng.integers(1, 20))
        match int(rng.integers(0, 6)):
            case 0:
                out[place] ^= 1 << int(rng.integers(0, 8))
            case 1:
                out[place] = (0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256)))[int(rng.integers(0, 6))]
            case 2:
                del out[place : place + length]
            case 3:
                out[place:place] = out[place : place + length]
            case 4:
                start = int(rng.integers(0, len(out)))
                out[place : place + length] = out[start : start + length]
            case _:
                del out[place + len(out) // 2 :]
        out = out or bytearray(b"\0")
    return bytes(out)


def mutated_json(text: str, rng: np.random.Generator) -> str:
    """JSON with one or two changes that leave it JSON, but for a key that stands twice or a number beyond any float."""
    tree = json.loads(text)
    for _ in range(int(rng.integers(1, 3))):
        places = _places(tree)
        if not places:
            break
        _change(places, rng)
    changed = json.dumps(tree).replace(repr(_ENDLESS), "1e999")
    return re.sub(r"\\ue000\d*", "", changed)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every value of a tree as what holds it and its key or index there."""
    found, todo = [], [tree]
    while todo:
        holder = todo.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            todo += [holder[key] for key in keys]
    return found


def _change(places: Sequence[tuple[Any, Any]], rng: np.random.Generator) -> None:
    holder, key = places[int(rng.integers(len(places)))]
    other, there = places[int(rng.integers(len(places)))]
    value, splice = holder[key], json.loads(json.dumps(other[there]))
    match int(rng.integers(0, 10)):
        case 0 | 1 | 2 if isinstance(value, int | float) and not isinstance(value, bool):
            near = (value + 1, value * 2, value - 1, -value, value / 2)
            holder[key] = (_NUMBERS + near)[int(rng.integers(len(_NUMBERS) + len(near)))]
        case 0 | 1 | 2 if isinstance(value, str):
            words = [h[k] for h, k in places if isinstance(h[k], str)] + [
                k for _, k in places if isinstance(k, str)
            ]
            holder[key] = words[int(rng.integers(len(words)))]
        case 3:
            del holder[key]
        case 4:
            holder[key] = splice
        case 5 if isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), splice)
        case 5:
            holder[str(rng.choice([str(there), "x"]))] = splice
        case 6 if isinstance(holder, dict):  # the marks are cut out of the text: the key then stands twice
            holder[f"{key}{_AGAIN}{len(holder)}"] = splice if rng.random() < 0.5 else value
        case 7:
            for _ in range(int(rng.choice([1, 30, 400]))):
                value = [value] if rng.random() < 0.5 else {str(key): value}
            holder[key] = value
        case 8:
            holder[key] = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
        case _:
            holder[key] = _OTHERS[int(rng.integers(len(_OTHERS)))]


def with_checksum(config: str, weights: bytes) -> str:
    """The config of a model folder, with the checksum of other weights."""
    return json.dumps(json.loads(config) | {"weights_sha256": hashlib.sha256(weights).hexdigest()})
