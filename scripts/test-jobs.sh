#!/usr/bin/env bash
# Runs the job files of scripts/jobs as their schedulers would, on a few cases, and the keeper of the
# nightly issues beside a `gh` that only writes down what it is asked.
#
#   HARNESS=target/debug/harness scripts/test-jobs.sh          # Slurm's and the issues
#   HARNESS=… PYTHON=venv/bin/python3 scripts/test-jobs.sh ray # with a Python that has ray: one
#                                                              # worker is killed on the way
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
: "${HARNESS:?names the built program}"
HARNESS=$(realpath "$HARNESS")
export HARNESS
desk=$(mktemp -d)
trap 'rm -rf "$desk"' EXIT
cases=(--case edges,llama-ahab,qk256-ahab,split32-ahab --fixtures "$root/fixtures")
cd "$desk"

has() { grep -q -- "$2" "$1" || { cat "$1"; echo "$1 does not say: $2"; exit 1; }; }
lacks() { ! grep -q -- "$2" "$1" || { cat "$1"; echo "$1 says: $2"; exit 1; }; }
claims() { jq -S '[.cases[].claims], .coverage, .parity' "$1"; }
"$HARNESS" crossval "${cases[@]}" --json whole.json -q

if [ "${1:-}" = ray ]; then
    # The program that one worker starts kills that worker, once.
    cat >fatal.sh <<'EOF'
#!/usr/bin/env bash
if [[ $* == *"--shard 2/"* ]] && mkdir "$DESK/killed" 2>/dev/null; then kill -9 $PPID; exit 1; fi
exec "$HARNESS" "$@"
EOF
    chmod +x fatal.sh
    DESK=$desk "${PYTHON:-python3}" "$root/scripts/jobs/ray_driver.py" --harness ./fatal.sh \
        --shares 3 --receipt merged.json -- "${cases[@]}" >ray.out
    [ -d killed ] || { echo "no worker was killed"; exit 1; }
    diff <(claims whole.json) <(claims merged.json)
    echo "ray: a worker was killed, its share was asked again, the receipt is that of the whole"
    exit
fi

export RECEIPTS=$desk/shares SLURM_ARRAY_TASK_COUNT=2
for index in 1 2; do
    SLURM_ARRAY_TASK_ID=$index "$root/scripts/jobs/slurm.sh" "${cases[@]}" >/dev/null
done
"$root/scripts/jobs/slurm.sh" merge >/dev/null
diff <(claims whole.json) <(claims shares/whole.json)
echo "slurm: two shares make the receipt of the whole"

cat >gh <<'EOF'
#!/usr/bin/env bash
echo "$*" >>"$DESK/asked"
if [ "$1 $2" = "issue list" ]; then cat "$DESK/open"; fi
EOF
chmod +x gh
export GH=$desk/gh RUN=https://run DESK=$desk
mkdir night
jq '.cases[0].claims.comparisons[0].verdict = {"diverge": {}}' whole.json >night/one.json
first="Parity: $(jq -r '.cases[0].claims | "\(.case) diverges from \(.comparisons[0].reference.name)"' \
    whole.json)"
printf '' >open
# What other commands leave there: arrays and objects, one of them bad news, and half a file.
echo '[{"status": "ok"}, {"status": "rust_only"}]' >night/fine.json
echo '[{"status": "ok"}, {"status": "divergence"}]' >night/shapes.json
echo '{"faults": []' >night/cut.json
"$root/scripts/divergence-issues.sh" night >/dev/null
has asked "issue create --label parity --title $first"
has asked "issue create --label parity --title Parity: shapes ends with divergence"
has asked "issue create --label parity --title Parity: cut.json cannot be read"
lacks asked "fine"
rm night/{fine,shapes,cut}.json
printf '7\t%s\n9\tParity: gone\n' "$first" >open
: >asked
"$root/scripts/divergence-issues.sh" night >/dev/null
has asked "issue comment 7"
has asked "issue close 9"
lacks asked "issue create"
rm night/one.json
: >asked
"$root/scripts/divergence-issues.sh" night >/dev/null
has asked "left no receipt"
has asked "issue close 7"
echo "issues: one for each divergence, opened, commented on, closed"
