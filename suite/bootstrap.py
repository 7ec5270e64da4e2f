"""What travels to a worker: it finds the checkout there. Nothing else here, since it is sent by value."""

from __future__ import annotations

import os
import sys
from typing import Any

from distributed import get_worker


def perform(checkouts: list[str], order: dict[str, Any]) -> dict[str, Any]:
    """`suite.worker.perform(**order)` in the first of these folders, or the worker's own, that is a checkout.

    Raises:
        FileNotFoundError: none of them is; the message is one line for the user.
    """
    for root in [*checkouts, os.getcwd()]:
        if os.path.exists(os.path.join(root, "suite", "worker.py")):
            break
    else:
        where = f"{get_worker().address}: no checkout at {' or '.join([*checkouts, os.getcwd()])}"
        raise FileNotFoundError(f"{where}; say where it is with --checkout")
    if root not in sys.path:
        sys.path.insert(0, root)
    from suite.worker import perform

    return perform(**order)
