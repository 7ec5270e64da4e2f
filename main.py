"""Stream tasks one example at a time into a learner, and log how accurate it is on all of them.

python main.py --model meralg1 --data_file mnist_rotations.pt --samples_per_task 1000 ...
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from argparse import Namespace

import numpy
import torch
from tqdm import tqdm

import data
from data.continuum import Continuum
from metrics import Evaluation, ResultError, ResultFiles, statistics
from model import engine
from model.common import OptionError
from model.options import LEARNERS, parse


class Diverged(ArithmeticError):
    """A loss or a score became NaN or infinite; the message is one line for the user."""


def main(argv: list[str]) -> None:
    """One run, from the command line to its two result files."""
    started = time.time()
    args = parse(argv)
    seed_generators(args.seed)
    tasks = data.load(args.data_path, args.data_file)
    continuum = Continuum([len(examples) for examples in tasks.train], args)
    torch.set_num_threads(engine.cores(args))
    for note in (tasks.note, engine.note(args) if args.model in LEARNERS else None):
        if note:
            print(note, file=sys.stderr)
    net = importlib.import_module(f"model.{args.model}").Net(
        tasks.n_inputs, tasks.n_outputs, len(tasks), args
    )
    if args.cuda:
        net.cuda()
    files = ResultFiles(args.save_path, args.model, args.data_file)

    result_t, result_a = life_experience(net, continuum, tasks, args)

    stats = statistics(result_t, result_a)
    one_liner = files.save(result_t, result_a, net.state_dict(), stats, vars(args))
    print(f"{files.stem}: {one_liner} # {time.time() - started}")


def life_experience(
    net: torch.nn.Module, continuum: Continuum, tasks: data.DataSet, args: Namespace
) -> tuple[torch.Tensor, torch.Tensor]:
    """Show the stream to the learner, evaluating it on all tasks as it goes.

    Returns:
        result_t (R,), for each evaluation the task seen before it, and result_a (R, T), its accuracies.

    Raises:
        Diverged: a loss or a score became NaN or infinite.
    """
    device = "cuda" if args.cuda else "cpu"
    evaluation = Evaluation(net, tasks.test, device)
    log: list[tuple[int, list[float]]] = []
    seen = current = 0
    with tqdm(total=continuum.n_examples, unit=" examples", disable=None) as bar:
        try:
            for i, (t, rows) in enumerate(continuum):
                if i % args.log_every == 0 or t != current:
                    log.append((current, evaluation.accuracies()))
                    current = t
                    bar.set_postfix(task=t, accuracy=f"{sum(log[-1][1]) / len(tasks):.4f}")
                net.train()
                examples = tasks.train[t]
                net.observe(examples.x(rows).to(device), t, examples.y[rows].to(device))
                seen += len(rows)
                bar.update(len(rows))
            log.append((current, evaluation.accuracies()))
        except FloatingPointError as error:
            raise Diverged(f"example {seen + 1}: {error}; try a smaller --lr") from error
    result_t, result_a = zip(*log, strict=True)
    return torch.tensor(result_t), torch.tensor(result_a)


def seed_generators(seed: int) -> None:
    """Seed the three generators that a run draws from."""
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    random.seed(seed)


def run(argv: list[str]) -> int:
    """`main`, with what a user can cause turned into one line on stderr; the exit status."""
    try:
        main(argv)
    except (data.DataError, OptionError, ResultError) as error:
        return failed(error, 2)
    except Diverged as error:
        return failed(error, 1)
    except KeyboardInterrupt:
        return failed("interrupted, nothing saved", 130)
    return 0


def failed(error: object, status: int) -> int:
    """Say what ended the run, and hand back the exit status for it."""
    print(f"main.py: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
