"""What hypothesis draws for the fuzz tests: hostile words, objects and damage to files."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from foreign import WAYS, Runs
from hypothesis import strategies as st

HUGE = (2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**18, 10**30, 10**400)
WORDS = st.one_of(
    st.sampled_from(
        (
            "",
            " ",
            "-",
            "--",
            "=",
            "-1",
            "0",
            "-0.0",
            "0.5",
            "1e-320",
            "1e308",
            "3.5e38",
            "1e999",
            "nan",
            "inf",
        )
        + ("-inf", "0x1F", "1_0", "\u0661\u0662", " 5 ", "5\n", "yes", "no", "None", "True", "1,5", "1e18")
        + ("%s", "%(prog)s", "{0}", "@file", "--lr", "-h", "\x00", "a\nb", "a\rb", "\x1b[2J", "\udcff", "é")
        + ("\U0001f4a5", "(" * 500, "[" * 100_000, "9" * 5000, "..", "../..", "a" * 300)
    ),
    st.sampled_from(HUGE).flatmap(lambda huge: st.sampled_from((str(huge), str(-huge)))),
    st.text(max_size=8),
    st.floats().map(str),
)
"""Words of a command line that are seldom what an option asks for."""


def nested(depth: int, width: int) -> list[object]:
    """A list that is small in memory, its parts being shared, and width**depth long when it is printed."""
    value: list[object] = [1]
    for _ in range(depth):
        value = [value] * width
    return value


def itself() -> list[object]:
    """A list that holds itself."""
    value: list[object] = []
    value.append(value)
    return value


NUMBERS = st.one_of(
    st.integers(-3, 8), st.sampled_from(HUGE), st.sampled_from([-huge for huge in HUGE]), st.floats()
)
DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8),
    *(torch.bool, torch.complex64),
)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Small tensors of any type and shape, with what their type holds of the worst values."""
    shape, dtype = draw(st.lists(st.integers(0, 4), max_size=3)), draw(st.sampled_from(DTYPES))
    values = [0, 1, 2, -1, 1e9, -1e9, 1e38, -1e38, float("inf"), float("nan")]
    fill = draw(st.lists(st.sampled_from(values), min_size=1, max_size=4))
    count = torch.Size(shape).numel()
    whole = torch.tensor((fill * count)[:count], dtype=torch.float64).reshape(shape)
    if not dtype.is_floating_point and not dtype.is_complex:
        whole = whole.nan_to_num(7, 8, 9).clamp(-(2**31), 2**31 - 1)
    return whole.to(dtype)


ODD: dict[str, Callable[[], object]] = {
    "nested 2": lambda: nested(60, 2),
    "nested 9": lambda: nested(40, 9),
    "itself": itself,
    "expanded x": lambda: torch.ones(1, 1).expand(10**9, 4),
    "expanded y": lambda: torch.ones(1, dtype=torch.int64).expand(10**12),
    "sparse": lambda: torch.ones(3, 4).to_sparse(),
    "meta": lambda: torch.ones(3, 4, device="meta"),
    "requires_grad": lambda: torch.ones(3, 4, requires_grad=True),
    "conjugate": lambda: torch.complex(torch.ones(3, 4), torch.ones(3, 4)).conj(),
    "negated": lambda: torch.complex(torch.ones(3, 4), torch.ones(3, 4)).conj().imag,
    "parameter": lambda: torch.nn.Parameter(torch.ones(3, 4)),
    "strided": lambda: torch.arange(24.0).reshape(2, 3, 4)[:, :, 1],
    "no rows": lambda: torch.zeros(0, 4),
    "no columns": lambda: torch.zeros(4, 0),
    **{way: partial(Runs, way) for way in WAYS},
}


@dataclass(frozen=True)
class Odd:
    """Stands for an object that hypothesis had better not print."""

    name: str


OBJECTS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(max_size=6),
    st.binary(max_size=6),
    tensors(),
    st.sampled_from(sorted(ODD)).map(Odd),
    st.sampled_from((torch.float32, torch.device("cpu"), torch.Size([3]), argparse.Namespace(a=1))),
    st.sampled_from(((), [], {}, [[]], {1: 2}, set(), OrderedDict(a=1), bytearray(3), 3j)),
)
"""What a file may hold in place of what it should."""


def made(value: object) -> object:
    """The value, or what it stands for."""
    return ODD[value.name]() if isinstance(value, Odd) else value


def replaced(content: object, path: list[int], value: object) -> object:
    """A copy of nested lists, tuples and dictionaries with another value at a path of positions."""
    if not path or not isinstance(content, list | tuple | dict) or not content:
        return made(value)
    position = path[0] % len(content)
    if isinstance(content, dict):
        key = list(content)[position]
        return {**content, key: replaced(content[key], path[1:], value)}
    items = list(content)
    items[position] = replaced(items[position], path[1:], value)
    return type(content)(items)


PATHS = st.lists(st.integers(0, 9), max_size=5)


@st.composite
def damage(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file's bytes, some of them changed, missing or new."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from((1, 1, 1, 2, 8, 64, 1000)))
        match draw(st.sampled_from(("flip", "flip", "cut", "set", "insert", "remove", "zeros", "twice"))):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at:]
            case "set":
                content[at : at + length] = draw(st.binary(min_size=1, max_size=8))
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "remove":
                del content[at : at + length]
            case "zeros":
                content[at : at + length] = bytes(length)
            case "twice":
                content += content[at:]
    return bytes(content)
