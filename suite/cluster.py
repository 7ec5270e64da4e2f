"""Where runs are done: this machine's cores, a Dask cluster that is there, or one that SLURM lends."""

from __future__ import annotations

import importlib.util
import logging
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from . import SweepError

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

DEATHS = 2
"""How many workers a run may take with it and still be done again; at the next one it has failed."""

CONNECT_SECONDS = 15

SELDOM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Dask samples a worker's stack a hundred times a second, and looks at its own event loops fifty times. With
two workers that takes a tenth of a core, and nobody sees what it finds."""


def check_installed(slurm: bool) -> None:
    """SweepError where a package is missing, with the way to get it."""
    for package in ("distributed", "filelock", *(["dask_jobqueue"] if slurm else [])):
        if importlib.util.find_spec(package) is None:
            raise SweepError(
                f"the package {package} is not installed: python3 -m pip install -r requirements-sweep.txt"
            )


@contextmanager
def connect(options: Namespace, runs: int) -> Iterator[Client]:
    """A client of the cluster that sweep.py's options ask for; one made for the occasion ends with the block.

    That one has no more workers than there are `runs` to do.

    Raises:
        SweepError: there is no reaching or making it.
    """
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client

    dask.config.set({"distributed.scheduler.allowed-failures": DEATHS, **SELDOM})
    for logger in ("distributed", "distributed.client"):  # What the user needs to know, the sweep says.
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        cluster = None
        if options.slurm is not None:
            cluster = _slurm(min(options.jobs or 1, runs), options.slurm)
        elif not options.scheduler:
            cluster = _local(min(options.jobs or CPU_COUNT, runs))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise SweepError(f"cannot start a cluster: {_last_line(error)}") from error
    try:
        try:
            client = Client(cluster or options.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SweepError(f"--scheduler {options.scheduler}: {_last_line(error)}") from error
        with client:
            yield client
    finally:
        if cluster is not None:
            cluster.close()


def _local(workers: int) -> SpecCluster:
    import dask
    from distributed import LocalCluster

    # A worker that died is started again by its nanny, unless the cluster has given it up by then: after 15
    # seconds, which on a busy machine is too soon, and then nobody starts another.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
    # Ctrl-C goes to all processes of a terminal, but it is for the sweep to end its workers. So the signal is
    # blocked where Dask's threads are started, and they and their processes inherit that. The start of
    # multiprocessing's tracker would unblock it again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # A run's memory is known; a limit would only have Dask kill what the machine can bear.
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            # Where the scheduler's health page goes: by default to 8787, which is another sweep's already.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _slurm(workers: int, settings: Sequence[str]) -> SpecCluster:
    """Jobs of one worker each; `settings`, name=value, are dask_jobqueue.SLURMCluster's arguments."""
    import dask
    from dask_jobqueue import SLURMCluster

    given: dict[str, Any] = {
        "python": sys.executable,
        "scheduler_options": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    }
    for name, value in {"cores": 1, "processes": 1, "memory": "4GB"}.items():
        if dask.config.get(f"jobqueue.slurm.{name}", None) is None:
            given[name] = value
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign:
            raise SweepError(f"--slurm {setting}: give name=value, such as queue=long")
        given[name] = int(value) if value.isdigit() else value
    cluster = SLURMCluster(**given)
    try:
        # Jobs are submitted behind the scenes: better to know before whether SLURM would take one.
        script = cluster.job_script()
        test = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True)
        if test.returncode:
            raise OSError(test.stderr)
        # A job that ends, because its time is up, say, is replaced by a new one.
        cluster.adapt(minimum_jobs=workers, maximum_jobs=workers)
    except BaseException:
        cluster.close()
        raise
    return cluster


def _last_line(error: Exception) -> str:
    # sbatch gives its verdict last.
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
