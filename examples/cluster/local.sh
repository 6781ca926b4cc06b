#!/usr/bin/env bash
# Run mmke on a Ray cluster of several nodes, all of them on this machine: a rehearsal of slurm.sh and kubernetes.yaml.
#
#   examples/cluster/local.sh 3 run --backbone smol-llava --limit 8 --out results
#
# The first argument is the number of nodes, of one core each; the rest is a command of mmke. All nodes end with it.
set -euo pipefail

nodes=${1:?give the number of nodes, then a command of mmke}
shift

# A secret of this cluster alone: whoever knows it can run programs on its machines.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
# A short name: Ray's sockets lie in it, and their paths have at most 107 bytes.
RAY_TMPDIR=$(mktemp -d /tmp/mmke-ray.XXXXXX)
export RAY_TMPDIR

started=()
end() {
    # Not `ray stop`: it would end all clusters of this machine.
    kill "${started[@]}" 2>/dev/null || true
    wait "${started[@]}" || true
    rm -rf "$RAY_TMPDIR"
}
trap end EXIT

node() {
    ray start "$@" --num-cpus=1 --num-gpus=0 --object-store-memory=100000000 --block >>"$RAY_TMPDIR/log" 2>&1 &
    started+=($!)
}

port=$(python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
address=$(hostname -I | cut -d' ' -f1):$port
node --head --port="$port" --include-dashboard=false
until ray health-check --address "$address" >/dev/null 2>&1; do
    kill -0 "${started[0]}" || { cat "$RAY_TMPDIR/log" >&2; exit 1; }
    sleep 1
done
for ((number = 1; number < nodes; number++)); do
    node --address="$address"
done

python -m mmke "$@" --ray "$address" --workers "$nodes"
