"""Sweeps on real clusters of worker processes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import psutil
import pytest
import torch
from distributed import Client, Worker
from sweeping import command, lasting, results, seeds, write_data

import sweep
from metrics.identity import ROOT
from suite import SweepError, cluster, lines, schedule
from suite.bootstrap import performer
from suite.display import Display
from suite.folder import Folder
from suite.schedule import Sweep

PATIENT = 120
"""Seconds after which something that should have happened never will."""


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENT
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Client]:
    with cluster.connect(Namespace(scheduler=None, slurm=None, jobs=2), 2) as client:
        # Both have a process that has loaded PyTorch before the first test, so that the runs of a test start
        # together.
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder))
            perform(client, [command(Path(folder), f"--n_epochs 20 --seed {seed}") for seed in range(2)])
        yield client


@pytest.fixture
def client(two_workers: Client) -> Client:
    """A test may have killed a worker: the next one starts when its successor is there."""
    two_workers.wait_for_workers(2, timeout=PATIENT)
    return two_workers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_data(tmp_path)
    return tmp_path


def perform(client: Client, asked: list[str], display: type[Display] = Display, **options: object) -> list:
    runs = lines.read(asked)
    folders = {run.args.save_path: Folder(run.args.save_path) for run in runs}
    with display(len(runs), 0) as shown:
        try:
            return Sweep(client, folders, shown, **options).perform(runs)
        finally:
            for each in folders.values():
                each.close()


def test_every_run_is_there_once_though_a_worker_is_killed(client: Client, folder: Path) -> None:
    def kill_one() -> None:
        wait_for(lambda: len(list((folder / "results").glob("*.checkpoint"))) == 2)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert perform(client, [command(folder, lasting(f"--seed {seed}")) for seed in range(3)]) == []
    killer.join()
    assert seeds(folder) == [0, 1, 2]
    assert any(args["resume"] for args in results(folder)), "the run went on from its checkpoint"
    assert {path.suffix for path in (folder / "results").iterdir() if path.is_file()} == {".pt", ".txt"}


def test_a_worker_that_takes_its_time_comes_back_all_the_same() -> None:
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}),
        cluster.connect(Namespace(scheduler=None, slurm=None, jobs=1), 1) as client,
    ):
        (lost,) = client.run(os.getpid).values()
        os.kill(lost, signal.SIGKILL)

        def back() -> bool:
            pids = client.run(os.getpid, on_error="return").values()
            return any(isinstance(pid, int) and pid != lost for pid in pids)

        wait_for(back)


@pytest.fixture
def drawing(client: Client) -> Iterator[None]:
    """Meanwhile the workers draw from Python's global generator, as Dask's own threads do at times."""

    def draw(dask_worker: Worker) -> None:
        enough = dask_worker.enough = threading.Event()

        def draws() -> None:
            while not enough.wait(0.0001):
                random.random()

        threading.Thread(target=draws, daemon=True).start()

    client.run(draw)
    yield
    client.run(lambda dask_worker: dask_worker.enough.set())


def test_a_run_alone_gives_the_same(client: Client, folder: Path, drawing: None) -> None:
    asked = command(folder, "--seed 4 --threads 1 --model meralg1 --lr 0.03 --beta 0.1")
    assert perform(client, [asked]) == []
    alone = subprocess.run(
        [sys.executable, *asked.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    one, other = sorted((folder / "results").glob("*.pt"))
    assert [str(entry) for entry in torch.load(one)[:4]] == [str(entry) for entry in torch.load(other)[:4]]
    assert torch.load(one)[5] == torch.load(other)[5]
    assert one.with_suffix(".txt").read_text() == other.with_suffix(".txt").read_text()
    assert str(torch.load(other)[5]) in alone.stdout


def test_a_results_folder_whose_name_is_not_utf8(
    client: Client, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = folder / os.fsdecode(b"r\xe9sultats")
    asked = [command(folder, f"--save_path {odd}")]
    assert perform(client, asked) == []
    assert capsys.readouterr().out.startswith(f"{folder}/r\\udce9sultats/online_")
    there = Folder(str(odd))
    there.look()
    assert there.holds(lines.read(asked)[0].identity)


def test_a_failed_run_is_reported_and_stops_no_other(
    client: Client, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [command(folder, "--lr 1e30"), command(folder, "--model independent --n_hiddens 2")]
    good = [command(folder, f"--seed {seed}") for seed in range(2)]
    failed = perform(client, [bad[0], good[0], bad[1], good[1]])
    assert sorted(run.args.model for run in failed) == ["independent", "online"]
    assert seeds(folder) == [0, 1]
    said = capsys.readouterr()
    assert re.search(r"failed: python3 main.py .*--lr 1e30.*: main.py: example \d+: ", said.err)
    assert re.search(r"failed: .* --model independent .*: main.py: --n_hiddens 2: ", said.err)
    assert "2 of 4 done" in said.err
    assert "3 of 4 done" not in said.err
    assert len(said.out.splitlines()) == 2
    assert all(line.startswith(str(folder / "results" / "online_tiny.pt_")) for line in said.out.splitlines())
    assert list((folder / "results" / ".claims").iterdir()) == []


def test_a_run_that_kills_its_workers_has_failed(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = performer([str(ROOT)])

    def deadly(order: dict) -> dict:
        if "666" in order["argv"]:
            os._exit(1)
        return real(order)

    monkeypatch.setattr(schedule, "performer", lambda checkouts: deadly)
    failed = perform(client, [command(folder, f"--seed {seed}") for seed in (666, 1, 2)])
    assert [run.args.seed for run in failed] == [666]
    assert seeds(folder) == [1, 2]
    assert "its worker died, 3 times" in capsys.readouterr().err


@pytest.mark.parametrize("times", [1, 3])
def test_a_process_that_a_run_takes_with_it_is_replaced(
    client: Client, folder: Path, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = sorted(client.run(os.getpid).values())
    killed: list[psutil.Process] = []

    def kill() -> None:
        for _ in range(times):
            wait_for(lambda: [each for each in runners(workers) if each not in killed])
            saved = checkpoint_times()
            wait_for(lambda saved=saved: checkpoint_times() - saved)
            for each in set(runners(workers)) - set(killed):
                killed.append(each)
                each.kill()

    def checkpoint_times() -> set[float]:
        return {file.stat().st_mtime for file in (folder / "results").glob("*.checkpoint")}

    killer = threading.Thread(target=kill)
    killer.start()
    failed = perform(client, [command(folder, lasting(f"--n_epochs {6 if times == 1 else 60}"))])
    killer.join()
    if times == 1:
        assert failed == []
        assert results(folder)[0]["resume"]
    else:
        assert len(failed) == 1
        assert "its process ended with status -9, 3 times" in capsys.readouterr().err
    assert sorted(client.run(os.getpid).values()) == workers


def runners(workers: list[int]) -> list[psutil.Process]:
    """The processes in which these workers do their runs."""
    found = []
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(worker).children()
            found += [child for child in children if "suite.runner" in child.cmdline()]
    return found


def test_each_run_shows_how_far_it_is(client: Client, folder: Path) -> None:
    seen = []

    class Noting(Display):
        def progress(self, run: lines.Run, event: dict) -> None:
            seen.append((run.args.seed, event))
            super().progress(run, event)

    # Reports come once a second: a run of several, so that one of them is from after the first evaluation.
    assert perform(client, [command(folder, lasting("--seed 7 --n_epochs 8", 0))], Noting) == []
    assert {seed for seed, _ in seen} == {7}
    shown = [event for _, event in seen]
    assert shown == sorted(shown, key=lambda event: event["n"])
    assert {event["total"] for event in shown} == {4800}
    assert any(re.fullmatch(r"accuracy=0\.\d{4}, task=\d", event["postfix"]) for event in shown)


def full_disk(monkeypatch: pytest.MonkeyPatch, is_full: Callable[[], bool]) -> None:
    real = Folder.store

    def store(self: Folder, files: dict[str, bytes]) -> None:
        if is_full():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, files)

    monkeypatch.setattr(Folder, "store", store)


def test_results_wait_for_room_on_the_disk(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = []
    full_disk(monkeypatch, lambda: tries.append(1) or len(tries) < 5)
    assert perform(client, [command(folder, f"--seed {seed}") for seed in range(4)]) == []
    assert seeds(folder) == [0, 1, 2, 3]
    assert capsys.readouterr().err.count("cannot write there: No space left on device") == 1


def test_results_that_find_no_room_are_told(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full_disk(monkeypatch, lambda: True)
    failed = perform(client, [command(folder, f"--seed {seed}") for seed in range(9)], patience=0.1)
    assert sorted(run.args.seed for run in failed) == list(range(9))
    said = capsys.readouterr().err
    summaries = re.findall(r"not stored: No space left on device: .*'seed': \d.* # [-\d. ]+ # ", said)
    assert 1 <= len(summaries) <= 4
    assert f"{9 - len(summaries)} runs were not started" in said
    assert results(folder) == []


class Diverging:
    """A cluster of one worker whose runs all fail, after a while."""

    def subscribe_topic(self, *_: object) -> None:
        """No run says how far it is."""

    def nthreads(self) -> dict[str, int]:
        return {"worker": 1}

    def submit(self, function: object, order: object, key: str) -> Diverging:
        self.key = key
        return self

    def add_done_callback(self, done: Callable[[Diverging], None]) -> None:
        threading.Timer(1.0, done, [self]).start()

    def result(self) -> dict[str, object]:
        return {"status": 1, "said": "diverged", "files": {}}


def test_a_claim_that_found_no_room_is_forgotten_once_there_is_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, tries = Folder.claim, []

    def claim(self: Folder, identity: str) -> object:
        tries.append(identity)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, identity)

    monkeypatch.setattr(Folder, "claim", claim)
    failed = perform(Diverging(), [command(folder, f"--seed {seed}") for seed in range(2)], patience=0.7)
    assert len(failed) == 2
    said = capsys.readouterr().err
    assert said.count("diverged") == 2 and "not started" not in said


def test_a_real_full_disk(client: Client, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = folder / "results"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting needs root")
    try:
        assert perform(client, [command(folder, "--seed 1")]) == []
        (disk / "ballast").write_bytes(bytes(4096 * (os.statvfs(disk).f_bavail - 3)))

        def make_room() -> None:
            wait_for(lambda: "cannot write there" in heard.getvalue())
            (disk / "ballast").unlink()

        heard = io.StringIO()
        helper = threading.Thread(target=make_room)
        helper.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Display, "say", lambda self, line: heard.write(line))
            assert perform(client, [command(folder, f"--seed {seed}") for seed in (2, 3)]) == []
        helper.join()
        assert seeds(folder) == [1, 2, 3]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_workers_that_are_not_fit_end_the_sweep(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [command(folder, f"--seed {seed}") for seed in range(3)]
    with pytest.raises(SweepError, match="no checkout at /nowhere; say where it is"):
        perform(client, asked, checkout="/nowhere")
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "code_version", lambda model: "another")
        with pytest.raises(SweepError, match="holds other code behind model/online.py"):
            perform(client, asked)
    runs = lines.read(asked)
    write_data(folder, seed=1)
    monkeypatch.setattr(lines, "read", lambda _: runs)
    with pytest.raises(SweepError, match=f"another tiny.pt than {folder} here"):
        perform(client, asked)
    assert results(folder) == []


def sweeping(folder: Path, asked: list[str], *options: str) -> subprocess.Popen[str]:
    (folder / "lines").write_text("\n".join(asked))
    return subprocess.Popen(
        [sys.executable, ROOT / "sweep.py", folder / "lines", *options],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_an_interrupt_while_processes_start_is_quiet(folder: Path) -> None:
    with sweeping(folder, [command(folder, lasting())], "--jobs", "1") as going:
        try:
            sweep_process = psutil.Process(going.pid)
            wait_for(lambda: runners([each.pid for each in sweep_process.children(recursive=True)]))
            os.killpg(going.pid, signal.SIGINT)
            said = going.communicate(timeout=PATIENT)[1]
        finally:
            going.kill()
    assert going.returncode == 130
    assert "Traceback" not in said


def test_a_sweep_goes_on_after_an_interrupt_and_after_a_kill(folder: Path) -> None:
    asked = [command(folder, lasting(f"--seed {seed}")) for seed in range(5)]
    stored = 0

    def checkpoints() -> set[Path]:
        return set((folder / "results").glob("*.checkpoint"))

    for how, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        with sweeping(folder, asked, "--jobs", "2") as going:
            try:
                assert going.stdout.readline().startswith(str(folder / "results"))
                before = checkpoints()
                wait_for(lambda before=before: checkpoints() - before)
                workers = psutil.Process(going.pid).children(recursive=True)
                os.killpg(going.pid, how) if how == signal.SIGINT else os.kill(going.pid, how)
                said = going.communicate(timeout=PATIENT)[1]
            finally:
                going.kill()
        assert going.returncode == status, said
        assert "Traceback" not in said
        assert psutil.wait_procs(workers, PATIENT)[1] == [], "no orphans"
        assert len(results(folder)) > stored
        stored = len(results(folder))
    with sweeping(folder, asked, "--jobs", "2") as going:
        out, said = going.communicate(timeout=PATIENT)
    assert going.returncode == 0, said
    assert f"5 runs, {5 - stored} of them to do" in said
    assert len(out.splitlines()) == 5 - stored
    assert seeds(folder) == list(range(5))
    assert any(args["resume"] for args in results(folder))


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler and its two workers, all processes of their own, outside the checkout."""
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask, file = [sys.executable, "-m", "distributed.cli.dask_scheduler"], tmp_path / "scheduler.json"
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1"]
    places = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    ends = ["--host", "127.0.0.1", "--no-dashboard", "--no-nanny"]
    processes = [subprocess.Popen([*dask, *places], **quiet)]
    try:
        wait_for(lambda: file.exists() and file.read_text())
        address = re.search(r"tcp://127[.\d:]+", file.read_text())[0]
        processes += [subprocess.Popen([*worker, address, *ends], **quiet) for _ in range(2)]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_two_sweeps_at_once_share_the_work(folder: Path, scheduler: tuple[str, list]) -> None:
    address, _ = scheduler
    # Runs that last: one sweep may be seconds ahead of the other.
    asked = [command(folder, lasting(f"--seed {seed}")) for seed in range(6)]
    with (
        sweeping(folder, asked, "--scheduler", address) as one,
        sweeping(folder, asked[::-1], "--scheduler", address) as other,
    ):
        said = [going.communicate(timeout=PATIENT) for going in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert seeds(folder) == list(range(6))
    assert sorted(len(out.splitlines()) for out, _ in said)[-1] < 6
    assert sum(len(out.splitlines()) for out, _ in said) == 6
    assert list((folder / "results" / ".claims").iterdir()) == []


def test_a_worker_that_is_told_to_end_hands_its_run_on(folder: Path, scheduler: tuple[str, list]) -> None:
    address, workers = scheduler
    # Far apart, so that the only checkpoint is the one that is written when the worker ends.
    asked = [command(folder, lasting(f"--seed {seed}", 10**6)) for seed in range(2)]
    with sweeping(folder, asked, "--scheduler", address) as going:
        with Client(address, set_as_default=False) as client:
            wait_for(lambda: sum(map(len, client.processing().values())) == 2)
        time.sleep(1)
        workers[0].terminate()
        said = going.communicate(timeout=PATIENT)[1]
    assert going.returncode == 0, said
    assert seeds(folder) == [0, 1]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run sweep.py in this process on a text of command lines; its last line on stderr."""

    def run(text: str, argv: list[str], status: int = 2) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        try:
            assert sweep.run(argv) == status
        except SystemExit as error:
            assert error.code == status
        said = capsys.readouterr()
        assert said.out == ""
        assert "usage:" not in said.err
        return said.err.splitlines()[-1]

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def test_what_is_there_is_not_run_again(
    client: Client, folder: Path, told: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [command(folder, f"--seed {seed}") for seed in range(2)]
    assert perform(client, asked) == []
    capsys.readouterr()
    assert told("\n".join(asked), [], 0) == "sweep.py: 2 runs, 0 of them to do"


def test_what_a_user_can_get_wrong_is_one_line(
    folder: Path, told: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    good = command(folder)
    assert told("", []) == "sweep.py: standard input: no command lines"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", None)  # Closed, as by a daemon.
        assert sweep.run([]) == 2
    assert "line 1: not a command line of main.py: ls" in told("ls", [])
    assert "nowhere: cannot be read" in told(good, [str(folder / "nowhere")])
    assert "--grid lr: give name=value" in told(good, ["--grid", "lr"])
    assert told(good, ["--jobs", "0"]) == "sweep.py: --jobs 0: give 1 or more"
    assert told(good, ["--patience", "nan"]) == "sweep.py: --patience nan: give seconds, 0 or more"
    assert "--jobs" in told(good, ["--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"])
    assert "not allowed with" in told(good, ["--scheduler", "tcp://127.0.0.1:1", "--slurm"])
    assert "--scheduler tcp://127.0.0.1:1: " in told(good, ["--scheduler", "tcp://127.0.0.1:1"])
    assert "--scheduler nonsense://x: " in told(good, ["--scheduler", "nonsense://x"])
    assert "--slurm long: give name=value" in told(good, ["--slurm", "long"])
    assert "cannot start a cluster: " in told(good, ["--slurm", "no_such_argument=1"])
    assert "cannot write there" in told(good + f" --save_path {folder / 'tiny.pt' / 'results'}", [])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install -r requirements-sweep.txt" in told(good, [])
    assert not list((folder / "results").glob("*.pt"))
