"""Run many command lines of main.py, on this machine's cores or on a cluster: those that are missing.

./mer_examples.sh --dry-run "0 1 2" | python3 sweep.py --jobs 2
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # PyTorch takes a second to import, and Ctrl-C in it may even abort the process: it waits for `run`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

import contextlib
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from model.options import OneLineParser, read_by_nobody
from suite import SweepError, cluster

MAX_STATUS = 125
"""Exit statuses above mean other things to a shell."""


def parse(argv: Sequence[str]) -> Namespace:
    """The options; exits with status 2 where they make no sense."""
    parser = OneLineParser(
        prog="sweep.py",
        description="Run command lines of main.py in parallel, skipping those whose results are there.",
        epilog="Exit status: runs that failed, at most 125; 2 if the sweep cannot go on; 130 if interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="command lines, one a line (default: standard input)")
    add("--grid", nargs="+", default=[], metavar="NAME=V,V,...", help="run each line with every combination")
    add("--jobs", type=int, metavar="N", help="runs at a time (default: the cores; with --slurm, jobs: 1)")
    add(
        "--checkout",
        metavar="DIR",
        help="where this repository is on the workers (default: as here, or where they run)",
    )
    add(
        "--patience",
        type=float,
        default=600,
        metavar="S",
        help="seconds to wait on a full disk (default: 600)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="use the Dask cluster there")
    where.add_argument(
        "--slurm",
        nargs="*",
        metavar="NAME=VALUE",
        help="have SLURM run the workers; arguments of dask_jobqueue.SLURMCluster, such as queue=long, "
        "for what Dask's configuration does not say",
    )
    options = parser.parse_args(argv)
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: give 1 or more")
    if not options.patience >= 0:
        parser.error(f"--patience {options.patience:g}: give seconds, 0 or more")
    if options.jobs is not None and options.scheduler:
        parser.error("--jobs: a cluster that is there has the workers it has")
    return options


def main(options: Namespace) -> int:
    """Do the runs that are missing; how many have no result afterwards."""
    cluster.check_installed(options.slurm is not None)
    from metrics import ResultError
    from suite import lines
    from suite.display import Display
    from suite.folder import Folder
    from suite.schedule import Sweep

    runs = lines.read(_lines(options.file), options.grid)
    with contextlib.ExitStack() as stack:
        folders = {}
        for path in dict.fromkeys(run.args.save_path for run in runs):
            try:
                folders[path] = stack.enter_context(contextlib.closing(Folder(path)))
            except ResultError as error:
                raise SweepError(str(error)) from error
            folders[path].look()
        missing = [run for run in runs if not folders[run.args.save_path].holds(run.identity)]
        display = stack.enter_context(Display(len(runs), len(runs) - len(missing)))
        display.say(f"{len(runs)} runs, {len(missing)} of them to do")
        if not missing:
            return 0
        client = stack.enter_context(cluster.connect(options, len(missing)))
        failed = Sweep(client, folders, display, options.checkout, options.patience).perform(missing)
        display.say(f"{len(failed)} of {len(runs)} runs failed")
        return len(failed)


def _lines(file: str | None) -> list[str]:
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise SweepError('no command lines; for example: ./mer_examples.sh --dry-run "0" | python3 sweep.py')
    try:
        text = Path(file).read_text("utf-8") if file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{file or 'standard input'}: cannot be read: {error}") from error
    if not text.strip():
        raise SweepError(f"{file or 'standard input'}: no command lines")
    return text.splitlines()


def run(argv: Sequence[str]) -> int:
    """`main`, with what a user can cause turned into one line on stderr; the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return min(main(parse(argv)), MAX_STATUS)
    except SweepError as error:
        print(f"sweep.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        read_by_nobody()
        print("sweep.py: nobody reads standard output any more; finished runs are stored", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sweep.py: interrupted; finished runs are stored, start again to do the rest", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
