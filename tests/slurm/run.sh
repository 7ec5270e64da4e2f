#!/usr/bin/env bash
# A sweep through SLURM for real: sets up a cluster of one node on this machine, in a temporary folder and on loopback
# only, runs a small sweep through it, takes one of its jobs away, checks that every result is there, and tears it down.
#
#   sudo PYTHON=/path/to/venv/bin/python tests/slurm/run.sh
#
# For Debian and root; installs slurmctld, slurmd, slurm-client and munge if they are missing. PYTHON has
# requirements.txt and requirements-sweep.txt installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON="$(command -v "${PYTHON:-python3}")"

fail() { echo "tests/slurm/run.sh: $1" >&2; exit 1; }

until_true() { # until_true SECONDS WHAT COMMAND...: wait for a command to succeed
  local end=$((SECONDS + $1)) what="$2"
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { tail -n 20 "$PLACE"/*.log "$PLACE"/jobs/* >&2 || true; fail "$what: not after a long wait"; }
    sleep 0.2
  done
}

[ "$(id -u)" = 0 ] || fail "run it as root: SLURM's daemons need that"
missing() { for program in slurmctld slurmd sbatch munged; do command -v $program > /dev/null || return 0; done; return 1; }
if missing; then
  # Debian starts the services that it installs, unless this says no; these would run beside the ones below.
  POLICY=/usr/sbin/policy-rc.d
  [ -e $POLICY ] || { trap 'rm -f $POLICY' EXIT; printf '#!/bin/sh\nexit 101\n' > $POLICY; chmod +x $POLICY; }
  apt-get update -q
  apt-get install -q -y --no-install-recommends slurmctld slurmd slurm-client munge
  rm -f $POLICY
fi

PLACE="$(mktemp -d)"
DAEMONS=()
teardown() {
  # Jobs outlive their daemons.
  [ "${SLURM_CONF:-}" != "$PLACE/slurm.conf" ] || scancel --user "$(id -un)" 2> /dev/null || true
  [ ${#DAEMONS[@]} = 0 ] || { kill "${DAEMONS[@]}" 2> /dev/null; wait "${DAEMONS[@]}" 2> /dev/null; } || true
  rm -rf "$PLACE"
}
trap teardown EXIT

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

mkdir "$PLACE"/{state,spool,jobs}
(umask 077; head -c 1024 /dev/urandom > "$PLACE/munge.key")
munged --foreground --force --key-file="$PLACE/munge.key" --socket="$PLACE/munge.socket" \
  --pid-file="$PLACE/munge.pid" --seed-file="$PLACE/munge.seed" --log-file="$PLACE/munge.log" 2> /dev/null &
DAEMONS+=($!)
until_true 30 "munged" test -S "$PLACE/munge.socket"

NODE="$(hostname -s)"
MEGABYTES="$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)"
cat > "$PLACE/slurm.conf" << EOF
ClusterName=sweep
SlurmctldHost=$NODE(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$PLACE/munge.socket
CredType=cred/munge
StateSaveLocation=$PLACE/state
SlurmdSpoolDir=$PLACE/spool
SlurmctldPidFile=$PLACE/slurmctld.pid
SlurmdPidFile=$PLACE/slurmd.pid
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$MEGABYTES
PartitionName=all Nodes=ALL Default=YES State=UP
EOF
export SLURM_CONF="$PLACE/slurm.conf"
slurmctld -D > "$PLACE/slurmctld.log" 2>&1 &
DAEMONS+=($!)
slurmd -D -N "$NODE" > "$PLACE/slurmd.log" 2>&1 &
DAEMONS+=($!)
idle() { sinfo -h -o %T | grep -qx idle; }
until_true 60 "a node that SLURM can use" idle

"$PYTHON" -c 'import sys, pathlib; sys.path.insert(0, "tests"); import sweeping; sweeping.write_data(pathlib.Path(sys.argv[1]))' "$PLACE"
SEEDS="0 1 2 3 4 5"
for seed in $SEEDS; do
  echo "python3 main.py --model online --engine torch --n_hiddens 8 --n_epochs 5 --log_every 1 --seed $seed" \
    "--data_path $PLACE --data_file tiny.pt --save_path $PLACE/results"
done > "$PLACE/lines"

"$PYTHON" sweep.py "$PLACE/lines" --slurm interface=lo memory=999TB 2> "$PLACE/refused.log" &&
  fail "SLURM gave a job more memory than there is"
grep -q "^sweep.py: cannot start a cluster: .*\(sbatch\|allocation\)" "$PLACE/refused.log" ||
  fail "a refused job is not explained: $(cat "$PLACE/refused.log")"

"$PYTHON" sweep.py "$PLACE/lines" --jobs 2 --slurm interface=lo log_directory="$PLACE/jobs" memory=500MB walltime=00:10:00 &
SWEEP=$!
DAEMONS+=("$SWEEP")
a_result() { compgen -G "$PLACE/results/*.pt"; }
until_true 120 "a first result" a_result
[ "$(squeue -h -t running | wc -l)" -ge 1 ] || fail "SLURM runs no job, and yet there is a result"
scancel "$(squeue -h -t running -o %i | head -n 1)"
wait "$SWEEP" || fail "sweep.py ended with status $?"

"$PYTHON" - "$PLACE" "$SEEDS" << 'EOF'
import pathlib, sys

sys.path.insert(0, "tests")
import sweeping

assert sweeping.seeds(pathlib.Path(sys.argv[1])) == [int(seed) for seed in sys.argv[2].split()]
EOF
no_job() { [ -z "$(squeue -h)" ]; }
until_true 30 "an empty queue" no_job
echo "tests/slurm/run.sh: 6 runs through SLURM, one of their jobs cancelled: every result is there once"
