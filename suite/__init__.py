"""Many runs at once: which there are, which are missing, and the cluster that does them. See sweep.py."""

from __future__ import annotations


class SweepError(Exception):
    """The sweep cannot go on; the message is one line for the user."""
