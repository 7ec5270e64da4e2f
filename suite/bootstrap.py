"""What travels to a worker, to find the checkout there and the rest in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from distributed import get_worker


def performer(checkouts: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`suite.worker.perform` in the first of these folders that is a checkout on the worker.

    It takes that function's arguments as a dictionary, and raises FileNotFoundError, with one line for the
    user, if none of the folders is one.
    """

    # Defined in here, so that pickle sends the code and not a name, which a worker could not import.
    def perform(order: dict[str, Any]) -> dict[str, Any]:
        places = [os.path.abspath(checkout) for checkout in checkouts]
        found = [place for place in places if os.path.exists(os.path.join(place, "suite", "worker.py"))]
        if not found:
            where = f"{get_worker().address}: no checkout at {' or '.join(places)}"
            raise FileNotFoundError(f"{where}; say where it is with --checkout")
        if found[0] not in sys.path:
            sys.path.insert(0, found[0])
        from suite.worker import perform

        return perform(**order)

    return perform
