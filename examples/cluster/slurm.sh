#!/usr/bin/env bash
# Run mmke on several nodes of a Slurm cluster. Give it from the folder in which the environment .venv lies, on a disk
# that all nodes share; the arguments are a command of mmke:
#
#   sbatch examples/cluster/slurm.sh run --backbone llava-1.5-7b --device cuda --out results
#
# The same command continues after a time limit or a lost node: what is written is kept.
#SBATCH --job-name=mmke
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --exclusive
#SBATCH --no-kill
#SBATCH --time=04:00:00
set -euo pipefail

cd "$SLURM_SUBMIT_DIR"
# shellcheck disable=SC1091
source .venv/bin/activate
export HF_HUB_OFFLINE=1 # nodes that compute often have no network; `mmke fetch` on the login node brings weights

# A secret of this job alone: whoever knows it can run programs on its nodes. srun hands it to all of them.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
# Not the job's own folder: Ray's sockets lie here, and their paths have at most 107 bytes.
export RAY_TMPDIR=/tmp

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$first:6379

# On each node this starts Ray; on the first one, when all others are there, also the command behind the two dashes.
srun --no-kill --kill-on-bad-exit=0 --wait=0 \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --object-store-memory=1000000000 \
    -- python -m mmke "$@" --ray "$address"
