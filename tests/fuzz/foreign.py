"""Files in place of what PyTorch saved: of other kinds, packed by others, with code in them."""

from __future__ import annotations

import argparse
import builtins
import gzip
import io
import os
import pickle
import subprocess
import zipfile

import numpy
import torch

WAYS = ("system", "mkdir", "exec", "eval", "run", "open", "setattr")


class Runs:
    """Runs code, and leaves a file `ran` behind, when it is unpickled by anything but the safe unpickler."""

    def __init__(self, way: str) -> None:
        self.way = way

    def __reduce__(self) -> tuple[object, ...]:
        code = "open('ran', 'w')"
        return {
            "system": (os.system, ("touch ran",)),
            "mkdir": (os.mkdir, ("ran",)),
            "exec": (builtins.exec, (code,)),
            "eval": (builtins.eval, (code,)),
            "run": (subprocess.run, (["touch", "ran"],)),
            "open": (builtins.open, ("ran", "w")),
            "setattr": (builtins.setattr, (argparse.Namespace(), "a", 1)),
        }[self.way]


def saved(content: object, zipped: bool = True) -> bytes:
    """What torch.save writes of it, in today's format or in the one from before PyTorch 1.6."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def saved_if_possible(content: object, zipped: bool = True) -> bytes | None:
    """The same; None where PyTorch cannot save it: then it is in nobody's file."""
    try:
        return saved(content, zipped)
    except Exception:
        return None


def repacked(whole: bytes, method: int, prefix: str = "", but: str = "none") -> bytes:
    """The same archive packed by somebody else, under another name or without one of its records."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w", method) as new:
        for name in old.namelist():
            if not name.endswith(but):
                new.writestr(prefix + name, old.read(name))
    return file.getvalue()


def bomb(whole: bytes) -> bytes:
    """The same archive, a tensor's record in it grown by 64 MiB of zeros, a thousand times what they take."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            with new.open(name, "w") as record:
                for _ in range(64 if name.endswith("/data/0") else 0):
                    record.write(bytes(1 << 20))
                record.write(old.read(name))
    return file.getvalue()


def foreign(whole: bytes, small: bytes) -> list[bytes]:
    """Files in place of a whole one; `small` holds a tensor that can be blown up."""
    arrays, empty = io.BytesIO(), io.BytesIO()
    numpy.savez(arrays, x=numpy.ones(3))
    zipfile.ZipFile(empty, "w").close()
    files = [b"", b"PK", b"PK\x03\x04" + bytes(100), b"words\n" * 50, b"\x80", b"\x80\x02.", b"(lp0\n."]
    files += [gzip.compress(whole), empty.getvalue(), arrays.getvalue(), bomb(small), whole[:-1], whole * 2]
    for but in ("none", "data.pkl", "data/1", "byteorder", "version"):
        files.append(repacked(whole, zipfile.ZIP_DEFLATED, but=but))
    for prefix in ("../", "/", "a/b/", "\u00e9"):
        files.append(repacked(whole, zipfile.ZIP_STORED, prefix))
    files += [pickle.dumps([1, 2], protocol) for protocol in range(6)]
    for way in WAYS:
        files += [pickle.dumps(Runs(way), protocol) for protocol in range(6)]
        files += [saved(Runs(way)), saved(Runs(way), zipped=False)]
    return files
