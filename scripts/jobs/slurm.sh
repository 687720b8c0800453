#!/usr/bin/env bash
# A Slurm array of shares of the cases, and a job behind it that puts the receipts together.
#
#   sbatch --array=1-8 scripts/jobs/slurm.sh          # the shares; more words go to crossval
#   sbatch --dependency=afterany:JOB scripts/jobs/slurm.sh merge
#
# HARNESS is the built program, RECEIPTS a folder that all nodes see.
#SBATCH --job-name=parity
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
set -euo pipefail
harness=${HARNESS:-target/release/harness}
receipts=${RECEIPTS:-receipts-of-shares}
mkdir -p "$receipts"
if [ "${1:-}" = merge ]; then
    exec "$harness" receipt merge "$receipts"/share-*.json --json "$receipts/whole.json"
fi
share=$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
exec "$harness" crossval --shard "$share" --json "$receipts/share-$SLURM_ARRAY_TASK_ID.json" \
    "$@"
