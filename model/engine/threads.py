"""Threads of the native engine, kept from one call to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

T = TypeVar("T")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "native")


def queued(call: Callable[[], T], times: int) -> list[Future[T]]:
    """Make a call so many times, one after another, on one other thread."""
    return [_pool(1).submit(call) for _ in range(times)]


def drop(futures: Sequence[Future[T]]) -> list[Future[T]]:
    """Cancel calls that have not begun, and wait for those that have, which are returned."""
    begun = [future for future in futures if not future.cancel()]
    wait(begun)
    return begun


def on_threads(threads: int, calls: Sequence[tuple]) -> None:
    """Make all calls, (function, argument, ...), at most so many at a time; the kernels let the GIL go."""
    if threads == 1 or len(calls) < 2:
        for function, *arguments in calls:
            function(*arguments)
        return
    todo = iter(calls)

    def work() -> None:
        for function, *arguments in todo:
            function(*arguments)

    helpers = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # On a busy machine a helper may not have begun, and there is nothing left for it.
        begun = drop(helpers)
    for helper in begun:
        helper.result()
