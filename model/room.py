"""Whether a run fits into memory, said before it starts: the system would end it later without a word."""

from __future__ import annotations

import os
import resource
from argparse import Namespace
from collections.abc import Sequence

from .common import OptionError


def available() -> int:
    """Bytes that a process may have here: the machine's memory, or less where a limit is set."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return physical if limit == resource.RLIM_INFINITY else min(physical, limit)


def check_stream(sizes: Sequence[int], args: Namespace) -> None:
    """`sizes` of the tasks; of args: samples_per_task, n_epochs.

    Raises:
        OptionError: the numbers of the stream's examples alone would fill the memory.
    """
    wanted = [min(args.samples_per_task, size) if args.samples_per_task > 0 else size for size in sizes]
    _check(8 * sum(wanted) * args.n_epochs, f"--n_epochs {args.n_epochs}: the order of so many examples")


def check_weights(n_inputs: int, n_outputs: int, n_tasks: int, args: Namespace) -> None:
    """For one of our learners; of args: model, n_hiddens, n_layers.

    Raises:
        OptionError: the weights alone would fill the memory.
    """
    n_nets = n_tasks if args.model == "independent" else 1
    n_first = n_tasks if args.model == "taskinput" else 1
    n_hiddens = args.n_hiddens // n_nets
    of_a_net = n_hiddens * (n_first * n_inputs + (args.n_layers - 1) * n_hiddens + n_outputs)
    options = f"--n_hiddens {args.n_hiddens} --n_layers {args.n_layers}"
    _check(4 * n_nets * of_a_net, f"{options}: the weights of such a network")


def is_lacking(error: Exception) -> bool:
    """Whether an error says that there is no memory left, Python's, PyTorch's or the GPU's."""
    said = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)


def _check(n_bytes: int, what: str) -> None:
    if n_bytes > available():
        gigabytes = available() / 1e9
        raise OptionError(
            f"{what} would take {n_bytes / 1e9:.3g} GB of memory, and there are {gigabytes:.3g} here"
        )
