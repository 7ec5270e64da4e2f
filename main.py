"""Stream tasks one example at a time into a learner, and log how accurate it is on all of them.

python main.py --model meralg1 --data_file mnist_rotations.pt --samples_per_task 1000 ...
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # PyTorch takes a second to import, and Ctrl-C in it may even abort the process: it waits for `run`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

import contextlib
import copy
import importlib
import io
import random
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy
import torch
from tqdm import tqdm

import data
from data.continuum import Continuum
from metrics import (
    Checkpoint,
    CheckpointError,
    Evaluation,
    ResultError,
    ResultFiles,
    code_version,
    generators,
    identity,
    set_generators,
    statistics,
)
from model import engine, room
from model.common import OptionError
from model.options import LEARNERS, parse, printable, tell
from model.state import Proof, Unsavable, capture, restore


class Diverged(ArithmeticError):
    """A loss or a score became NaN or infinite; the message is one line for the user."""


class Terminated(Exception):
    """SIGTERM asked the run to stop; the message is one line for the user."""


@dataclass
class Life:
    """How far a run has come: batches and examples seen, the task of the last one, and what was logged."""

    batches: int = 0
    examples: int = 0
    task: int = 0
    result_t: list[int] = field(default_factory=list)
    result_a: list[list[float]] = field(default_factory=list)

    def log(self, accuracies: list[float]) -> None:
        """Add an evaluation on all tasks, tagged with the task seen before it."""
        self.result_t.append(self.task)
        self.result_a.append(accuracies)


@dataclass(frozen=True)
class Place:
    """Where a run takes place, when that is not where its command line says; see sweep.py.

    Attributes:
        data_path, save_path, checkpoint_path: folders to use; the results still name the options'.
        bar: what makes the progress bar, with tqdm's arguments and methods.
        stop: set it to have the run write a checkpoint and end, as SIGTERM does.
    """

    data_path: str | None = None
    save_path: str | None = None
    checkpoint_path: str | None = None
    bar: Callable[..., tqdm] = tqdm
    stop: threading.Event = field(default_factory=threading.Event)


def main(argv: list[str], place: Place | None = None) -> None:
    """One run, from the command line to its two result files."""
    started = time.time()
    args, place = parse(argv), place or Place()
    seed_generators(args.seed)
    tasks = data.load(place.data_path or args.data_path, args.data_file)
    run = identity(args, tasks.fingerprint)
    sizes, ours = [len(examples) for examples in tasks.train], args.model in LEARNERS
    room.check_stream(sizes, args)
    if ours:
        room.check_weights(tasks.n_inputs, tasks.n_outputs, len(tasks), args)
    continuum = Continuum(sizes, args)
    # On more threads PyTorch may add in another order: your own learner has them where they are asked for.
    torch.set_num_threads(args.threads or 1)
    start, asked = generators(), copy.deepcopy(args)
    learner = importlib.import_module(f"model.{args.model}")
    if not hasattr(learner, "Net"):
        raise OptionError(f"--model {args.model}: model/{args.model}.py has no class Net")
    net = built(learner.Net, tasks, args)
    if engine.held_by(net):
        torch.set_num_threads(engine.torch_threads(args))
    files = ResultFiles(place.save_path or args.save_path, args.model, args.data_file)
    folder = place.checkpoint_path or args.save_path
    checkpoint = Checkpoint(folder, args.model, args.data_file, run, args.checkpoint_every)
    # Not before: a run that cannot start says why, and nothing else.
    for note in filter(None, (tasks.note, engine.note(net))):
        say(note)

    proof = None
    if not ours and checkpoint.every != 0:
        with aside(start):
            proof = Proof(net, learner.__name__, lambda again: built(again.Net, tasks, asked))
    keep = keeper(checkpoint, net, proof)
    life = resumed(net, checkpoint) if args.resume else Life()
    life_experience(net, continuum, tasks, args, life, keep, place)

    result_t, result_a = torch.tensor(life.result_t), torch.tensor(life.result_a)
    stats = statistics(result_t, result_a)
    what = {**vars(args), "run": run, "code": code_version(args.model), "data": tasks.fingerprint[:32]}
    one_liner = files.save(result_t, result_a, net.state_dict(), stats, what)
    checkpoint.remove()
    tell(printable(f"{files.stem}: {one_liner} # {time.time() - started}"))


def life_experience(
    net: Any,
    continuum: Continuum,
    tasks: data.DataSet,
    args: Namespace,
    life: Life,
    keep: Callable[[Life, bool], None],
    place: Place,
) -> None:
    """Show the rest of the stream to the learner, evaluating it on all tasks as it goes.

    Args:
        net: a torch.nn.Module with GEM's observe(x, t, y).
        keep: what `keeper` made for it.

    Raises:
        Diverged: a loss or a score became NaN or infinite.
        Terminated: SIGTERM came, or place.stop was set; there is a checkpoint, unless they are turned off.
    """
    device = "cuda" if args.cuda else "cpu"
    evaluation = Evaluation(net, tasks.test, device)
    with place.bar(total=continuum.n_examples, initial=life.examples, unit=" examples", disable=None) as bar:
        try:
            for t, rows in islice(continuum, life.batches, None):
                if life.batches % args.log_every == 0 or t != life.task:
                    evaluate(net, evaluation, life)
                    life.task = t
                    bar.set_postfix(task=t, accuracy=f"{sum(life.result_a[-1]) / len(tasks):.4f}")
                net.train()
                examples = tasks.train[t]
                net.observe(examples.x(rows).to(device), t, examples.y[rows].to(device))
                life.batches += 1
                life.examples += len(rows)
                bar.update(len(rows))
                stopping = place.stop.is_set()
                keep(life, stopping)
                if stopping:
                    raise Terminated(f"terminated after example {life.examples}")
        except FloatingPointError as error:
            raise Diverged(f"example {life.examples + 1}: {error}; try a smaller --lr") from error
        evaluate(net, evaluation, life)


def evaluate(net: torch.nn.Module, evaluation: Evaluation, life: Life) -> None:
    """Log the learner's accuracies.

    Raises:
        EngineError: they would not be of what was trained.
        Diverged: a score became NaN or infinite.
    """
    engine.check(net)
    try:
        life.log(evaluation.accuracies())
    except FloatingPointError as error:
        if not life.examples:
            raise Diverged(f"before the first example: {error}; look at the data's pixels") from error
        raise Diverged(f"after example {life.examples}: {error}; try a smaller --lr") from error


def built(cls: type[torch.nn.Module], tasks: data.DataSet, args: Namespace) -> torch.nn.Module:
    """A new learner, where args.cuda asks for it."""
    net = cls(tasks.n_inputs, tasks.n_outputs, len(tasks), args)
    return net.cuda() if args.cuda else net


@contextlib.contextmanager
def aside(start: dict[str, Any]) -> Iterator[None]:
    """What is done in it leaves the run as it is: the generators, set to `start`, and PyTorch's threads."""
    now, threads = generators(), torch.get_num_threads()
    set_generators(start)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        set_generators(now)
        torch.set_num_threads(threads)


def keeper(checkpoint: Checkpoint, net: torch.nn.Module, proof: Proof | None) -> Callable[[Life, bool], None]:
    """What saves a checkpoint where one is due, if there is proof that a run can go on from it.

    Where that cannot be done it says so, once.
    """

    def keep(life: Life, stopping: bool) -> None:
        if not checkpoint.due(life.examples, stopping):
            return
        try:
            state = proof.capture() if proof else capture(net)
            checkpoint.save({"learner": state, "life": vars(life)}, life.examples)
        except (Unsavable, CheckpointError) as error:
            say(f"no more checkpoints: {error}")
            checkpoint.every = 0

    return keep


def resumed(net: torch.nn.Module, checkpoint: Checkpoint) -> Life:
    """The life that a checkpoint holds, to which the learner is set; a new one where there is none.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """
    saved = checkpoint.load()
    if saved is None:
        say(f"{checkpoint.path} is not there: starting at the beginning")
        return Life()
    try:
        restore(net, saved["learner"])
    except Unsavable as error:
        raise CheckpointError(f"{checkpoint.path}: {error}; delete it to start again") from error
    say(f"{checkpoint.path}: going on after example {saved['life']['examples']}")
    return Life(**saved["life"])


def seed_generators(seed: int) -> None:
    """Seed the three generators that a run draws from."""
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    random.seed(seed)


def run(argv: list[str], place: Place | None = None) -> int:
    """`main`, with what a user can cause turned into one line on stderr; the exit status."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        main(argv, place)
    except (data.DataError, OptionError, engine.EngineError, ResultError, CheckpointError) as error:
        return failed(error, 2)
    except Diverged as error:
        return failed(error, 1)
    except Terminated as error:
        return failed(error, 143)
    except AttributeError as error:
        # Ours read nothing that the parser does not know, and a plug-in may have other Namespaces.
        if not isinstance(error.obj, Namespace) or vars(error.obj).get("model") in (None, *LEARNERS):
            raise
        return failed(
            f"the learner reads args.{error.name}, which has no default: give --{error.name} value", 2
        )
    except KeyboardInterrupt:
        return failed("interrupted: no result; --resume yes goes on from the last checkpoint, if any", 130)
    except (MemoryError, RuntimeError) as error:
        if not room.is_lacking(error):
            raise
        return failed("not enough memory: try a smaller network, smaller batches or fewer memories", 2)
    return 0


def failed(error: object, status: int) -> int:
    """Say what ended the run, and hand back the exit status for it."""
    say(f"main.py: {error}")
    return status


def say(line: str) -> None:
    """One line to the user, beside the results."""
    print(printable(line), file=sys.stderr)


if __name__ == "__main__":
    if sys.stderr is None:  # Closed, as `2>&-` does.
        sys.stderr = io.StringIO()
    here = Place()
    signal.signal(signal.SIGTERM, lambda *_: here.stop.set())
    sys.exit(run(sys.argv[1:], here))
