"""What determines a run's result, as one short name."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

IRRELEVANT = frozenset({"save_path", "data_path", "data_file", "threads", "checkpoint_every", "resume"})
"""Options that leave the result as it is; the data count by their content. Any other option counts."""


def identity(args: Namespace, data_fingerprint: str) -> str:
    """32 hex digits that name a run: its options, its data, and the code that learns.

    The same on every machine and in every folder.
    """
    options = {name: value for name, value in sorted(vars(args).items()) if name not in IRRELEVANT}
    whole = json.dumps([options, data_fingerprint, code_version()])
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


@cache
def code_version() -> str:
    """SHA-256, in hex, of the names and contents of the sources under model/, as git would hold them."""
    whole = hashlib.sha256()
    sources = [path for path in (ROOT / "model").rglob("*") if path.suffix in (".py", ".pyx", ".h", ".c")]
    for path in sorted(sources, key=lambda path: path.relative_to(ROOT).as_posix()):
        if path.name != "_native.c":
            whole.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()
