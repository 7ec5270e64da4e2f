#!/usr/bin/env bash
# The experiments of the paper, one command line a run.
#
#   ./mer_examples.sh "0"                     run them all with seed 0
#   ./mer_examples.sh "0 1 2" --only meralg1  one model, three seeds
#   ./mer_examples.sh "0" --dry-run           print the command lines, run none
#   ./mer_examples.sh "0" --quick             the same runs on five small tasks, seconds each
#   ./mer_examples.sh "0" --jobs 2            two at a time, skipping what results/ already holds (sweep.py)
set -euo pipefail
cd "$(dirname "$0")"

fail() { echo "mer_examples.sh: $1" >&2; exit 2; }

SEEDS="" ONLY="" JOBS="" DRY_RUN="" QUICK=""
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) DRY_RUN=yes ;;
    --quick) QUICK=yes ;;
    --only) [ $# -gt 1 ] || fail "--only: give a model"; ONLY="$2"; shift ;;
    --jobs) [ $# -gt 1 ] || fail "--jobs: give a number"; JOBS="$2"; shift ;;
    -*) fail "$1: there is no such option; there are --dry-run, --quick, --only MODEL and --jobs N" ;;
    *) [ -z "$SEEDS" ] || fail "$1: give all seeds as one argument, \"0 1 2\""; SEEDS="$1" ;;
  esac
  shift
done
SEEDS="${SEEDS:-0}"
[[ "$SEEDS" =~ ^\ *[0-9]+(\ +[0-9]+)*\ *$ ]] || fail "$SEEDS: seeds are whole numbers, \"0 1 2\""
[[ -z "$JOBS" || "$JOBS" =~ ^[1-9][0-9]*$ ]] || fail "--jobs $JOBS: give a whole number, 1 or more"

COMMON="--n_layers 2 --n_hiddens 100 --data_path data/ --save_path results/ --batch_size 1 --log_every 100"
ROTATIONS="--samples_per_task 1000 --data_file mnist_rotations.pt"
PERMUTATIONS="--samples_per_task 1000 --data_file mnist_permutations.pt"
MANY="--samples_per_task 200 --data_file mnist_manypermutations.pt"
if [ -n "$QUICK" ]; then
  COMMON="${COMMON/results\//results/quick/}"
  ROTATIONS="--samples_per_task 20 --data_file small_rotations.pt"
  PERMUTATIONS="--samples_per_task 20 --data_file small_permutations.pt"
  MANY="--samples_per_task 10 --data_file small_permutations.pt"
fi

run() { # run MODEL TASKS OPTIONS: one line for the seed at hand
  [ -z "$ONLY" ] || [ "$ONLY" = "$1" ] || return 0
  echo "python3 main.py $COMMON $2 --cuda no --seed $SEED --model $1 $3"
}

experiments() {
  run online "$ROTATIONS" "--lr 0.0003"
  run online "$PERMUTATIONS" "--lr 0.003"
  run online "$MANY" "--lr 0.003"

  run independent "$ROTATIONS" "--lr 0.01"
  run independent "$PERMUTATIONS" "--lr 0.01"
  run independent "$MANY" "--lr 0.01"

  # The paper's authors did not publish taskinput's: a grid on seeds 5 to 7 chose it, see results/reference/README.md.
  run taskinput "$ROTATIONS" "--lr 0.01"
  run taskinput "$PERMUTATIONS" "--lr 0.01"
  run taskinput "$MANY" "--lr 0.01"

  run ewc "$ROTATIONS" "--lr 0.001 --n_memories 10 --memory_strength 100"
  run ewc "$PERMUTATIONS" "--lr 0.01 --n_memories 10 --memory_strength 10"
  run ewc "$MANY" "--lr 0.003 --n_memories 10 --memory_strength 1"

  # gem's memory is n_memories a task: 5120, 500 and 200 examples in all.
  run gem "$ROTATIONS" "--lr 0.01 --n_memories 256 --memory_strength 1.0"
  run gem "$PERMUTATIONS" "--lr 0.01 --n_memories 256 --memory_strength 1.0"
  run gem "$MANY" "--lr 0.01 --n_memories 51 --memory_strength 0.0"
  run gem "$ROTATIONS" "--lr 0.01 --n_memories 25 --memory_strength 0.0"
  run gem "$PERMUTATIONS" "--lr 0.01 --n_memories 25 --memory_strength 1.0"
  run gem "$MANY" "--lr 0.003 --n_memories 5 --memory_strength 0.1"
  run gem "$ROTATIONS" "--lr 0.01 --n_memories 10 --memory_strength 0.0"
  run gem "$PERMUTATIONS" "--lr 0.01 --n_memories 10 --memory_strength 0.0"

  run eralg4 "$ROTATIONS" "--lr 0.1 --memories 5120 --replay_batch_size 25"
  run eralg4 "$PERMUTATIONS" "--lr 0.1 --memories 5120 --replay_batch_size 25"
  run eralg4 "$MANY" "--lr 0.1 --memories 5120 --replay_batch_size 25"
  run eralg4 "$ROTATIONS" "--lr 0.1 --memories 500 --replay_batch_size 5"
  run eralg4 "$PERMUTATIONS" "--lr 0.1 --memories 500 --replay_batch_size 10"
  run eralg4 "$MANY" "--lr 0.1 --memories 500 --replay_batch_size 25"
  run eralg4 "$ROTATIONS" "--lr 0.1 --memories 200 --replay_batch_size 10"
  run eralg4 "$PERMUTATIONS" "--lr 0.1 --memories 200 --replay_batch_size 10"

  run eralg5 "$ROTATIONS" "--lr 0.03 --memories 5120 --replay_batch_size 100"
  run eralg5 "$PERMUTATIONS" "--lr 0.01 --memories 5120 --replay_batch_size 25"
  run eralg5 "$MANY" "--lr 0.003 --memories 5120 --replay_batch_size 10"
  run eralg5 "$ROTATIONS" "--lr 0.01 --memories 500 --replay_batch_size 100"
  run eralg5 "$PERMUTATIONS" "--lr 0.01 --memories 500 --replay_batch_size 25"
  run eralg5 "$MANY" "--lr 0.01 --memories 500 --replay_batch_size 5"
  run eralg5 "$ROTATIONS" "--lr 0.01 --memories 200 --replay_batch_size 50"
  run eralg5 "$PERMUTATIONS" "--lr 0.01 --memories 200 --replay_batch_size 10"

  local mer1="--gamma 1.0 --batches_per_example"
  run meralg1 "$ROTATIONS" "--lr 0.03 --beta 0.03 $mer1 10 --memories 5120 --replay_batch_size 100"
  run meralg1 "$PERMUTATIONS" "--lr 0.03 --beta 0.03 $mer1 10 --memories 5120 --replay_batch_size 100"
  run meralg1 "$MANY" "--lr 0.1 --beta 0.01 $mer1 10 --memories 5120 --replay_batch_size 5"
  run meralg1 "$ROTATIONS" "--lr 0.1 --beta 0.01 $mer1 10 --memories 500 --replay_batch_size 10"
  run meralg1 "$PERMUTATIONS" "--lr 0.03 --beta 0.03 $mer1 10 --memories 500 --replay_batch_size 25"
  run meralg1 "$MANY" "--lr 0.03 --beta 0.03 $mer1 10 --memories 500 --replay_batch_size 5"
  run meralg1 "$ROTATIONS" "--lr 0.1 --beta 0.01 $mer1 5 --memories 200 --replay_batch_size 10"
  run meralg1 "$PERMUTATIONS" "--lr 0.03 --beta 0.03 $mer1 10 --memories 200 --replay_batch_size 10"

  run meralg6 "$ROTATIONS" "--lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 100"
  run meralg6 "$PERMUTATIONS" "--lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 50"
  run meralg6 "$MANY" "--lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 25"
  run meralg6 "$ROTATIONS" "--lr 0.1 --gamma 0.03 --memories 500 --replay_batch_size 10"
  run meralg6 "$PERMUTATIONS" "--lr 0.03 --gamma 0.3 --memories 500 --replay_batch_size 10"
  run meralg6 "$MANY" "--lr 0.1 --gamma 0.03 --memories 500 --replay_batch_size 5"
  run meralg6 "$ROTATIONS" "--lr 0.1 --gamma 0.03 --memories 200 --replay_batch_size 25"
  run meralg6 "$PERMUTATIONS" "--lr 0.1 --gamma 0.03 --memories 200 --replay_batch_size 5"

  run meralg7 "$ROTATIONS" "--lr 0.03 --gamma 0.03 --memories 5120 --replay_batch_size 100 --s 5"
  run meralg7 "$PERMUTATIONS" "--lr 0.01 --gamma 0.1 --memories 5120 --replay_batch_size 100 --s 10"
  run meralg7 "$MANY" "--lr 0.03 --gamma 0.03 --memories 5120 --replay_batch_size 100 --s 10"
  run meralg7 "$ROTATIONS" "--lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 50 --s 5"
  run meralg7 "$PERMUTATIONS" "--lr 0.01 --gamma 0.1 --memories 500 --replay_batch_size 25 --s 10"
  run meralg7 "$MANY" "--lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 5 --s 10"
  run meralg7 "$ROTATIONS" "--lr 0.03 --gamma 0.03 --memories 200 --replay_batch_size 50 --s 5"
  run meralg7 "$PERMUTATIONS" "--lr 0.03 --gamma 0.1 --memories 200 --replay_batch_size 5 --s 2"
}

lines() { for SEED in $SEEDS; do experiments; done; }

[ -z "$ONLY" ] || [ -n "$(lines)" ] || fail "--only $ONLY: no experiment of the paper has that model"
if [ -n "$DRY_RUN" ]; then
  lines
elif [ -n "$JOBS" ]; then
  lines | python3 sweep.py --jobs "$JOBS"
else
  lines | while read -r line; do
    echo "$line" >&2
    $line < /dev/null || { echo "mer_examples.sh: stopped, this run failed: $line" >&2; exit 1; }
  done
fi
