"""The compiled extension, where it is there."""

from __future__ import annotations

import os

_reason: str | None = None
try:
    import model.engine._native as _native

    _native.select(os.environ.get("MER_NATIVE_ISA") or None)
except ImportError as error:
    _native = None  # type: ignore[assignment]
    _reason = f"the native engine is not built ({error}); with a C compiler, install requirements.txt again"
except ValueError as error:
    _reason = f"MER_NATIVE_ISA: {error}"


def unavailable() -> str | None:
    """Why the native kernels cannot be used here, in one line; None where they can."""
    return _reason
