#!/usr/bin/env bash
# A job array: eight jobs, each with one GPU and an eighth of the run; no job knows of the others.
#
#   sbatch array.sh                    # a job that was stopped continues when it is submitted again
#   mmke merge parts/* --out results   # when all jobs are finished
#
#SBATCH --job-name=mmke
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=48G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail

shards=8  # as many as --array says
number=${SLURM_ARRAY_TASK_ID:?start it with sbatch, or set it to the number of one shard}

mmke run --shard "$number/$shards" --out "parts/$number" \
    --backbone llava-1.5-7b --editor ft-llm --editor ike \
    --benchmark mmke-entity --benchmark mmke-visual --benchmark mmke-user --data "${DATA:-/data/mmke}" \
    --device cuda
