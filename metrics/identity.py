"""Which run a result is of: one hash of everything that determines it."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from modulefinder import Module, ModuleFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout that this process runs."""

NOT_COUNTED = frozenset({"save_path", "data_path", "data_file", "threads", "checkpoint_every", "resume"})
"""Options that leave the result as it is; data count by content. All others count, new ones too."""

AROUND = ("data/continuum.py", "metrics/evaluation.py", "metrics/matrix.py")
"""Sources that count besides a learner's own: what the stream is, and how a learner is judged.

main.py does not: it changes often, and the golden runs hold it to the same results.
"""

KERNELS = frozenset({".pyx", ".pxd", ".pxi", ".c", ".cpp", ".h", ".hpp", ".inc"})


def identity(args: Namespace, data_fingerprint: str) -> str:
    """32 hex digits that name a run, the same for all runs that must have the same result, on any machine.

    Args:
        args: what `model.options.parse` returns, before a learner is built, which may change it.
        data_fingerprint: `DataSet.fingerprint` of the data that the run streams.
    """
    options = {name: _plain(value) for name, value in vars(args).items() if name not in NOT_COUNTED}
    facts = {"options": options, "data": data_fingerprint, "code": code_version(args.model)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    # GEM's sizes are read as floats but their defaults are whole: 1 and 1.0 are the same option.
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def code_version(model: str) -> str:
    """32 hex digits for the sources behind a learner: what it imports from this checkout, and the kernels.

    A process sees each source as it was when the process first asked for any, which is what it has imported.

    Raises:
        SyntaxError: in one of them.
    """
    digests = _digests()
    finder = _Finder(path=[str(ROOT)])
    finder.import_hook(f"model.{model}")
    files = [Path(getattr(module, "__file__", None) or "") for module in finder.modules.values()]
    ours = [path for path in files if path.suffix == ".py" and path.is_relative_to(ROOT)]
    imported = {path.relative_to(ROOT).as_posix(): path for path in ours}
    counted = {n: d for n, d in digests.items() if n in AROUND or not n.endswith(".py") or n in imported}
    counted |= {name: _digest(path) for name, path in imported.items() if name not in digests}
    whole = "".join(f"{name} {digest}\n" for name, digest in sorted(counted.items()))
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


class _Finder(ModuleFinder):
    """A ModuleFinder that knows packages without `__init__.py` too."""

    def import_module(self, partname: str, fqname: str, parent: Module) -> Module | None:
        spec = PathFinder.find_spec(partname, getattr(parent, "__path__", self.path) or [])
        if spec is None or spec.loader is not None:
            return super().import_module(partname, fqname, parent)
        # Python takes such a folder only where nothing else of its name is installed.
        if fqname == partname and (installed := find_spec(partname)) and installed.origin:
            return None
        package = self.add_module(fqname)
        vars(package)["__path__"] = list(spec.submodule_search_locations or [])
        return package


@cache
def _digests() -> dict[str, str]:
    """SHA-256 of the sources in model/ and of `AROUND`, by their paths in the checkout."""
    return {name: _digest(ROOT / name) for name in _sources()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sources() -> Iterator[str]:
    yield from AROUND
    for path in (ROOT / "model").rglob("*"):
        generated = path.suffix in (".c", ".cpp") and path.with_suffix(".pyx").exists()
        wanted = path.suffix == ".py" or (path.suffix in KERNELS and not generated)
        if wanted and path.is_file():
            yield path.relative_to(ROOT).as_posix()
