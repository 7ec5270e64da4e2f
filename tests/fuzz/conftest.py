"""The worker that all fuzz tests share, and what became of their cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzzing import Worker

_worker = Worker()


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process that takes cases."""
    yield _worker
    _worker.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many cases there were, and how they ended."""
    counts = _worker.counts
    if not counts:
        return
    terminalreporter.write_line(f"{counts.total()} fuzz cases:")
    for test in dict.fromkeys(test for test, _ in counts):
        ends = ", ".join(f"{end} {n}" for (of, end), n in sorted(counts.items()) if of == test)
        terminalreporter.write_line(f"  {test}: {ends}")
