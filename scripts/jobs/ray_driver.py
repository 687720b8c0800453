#!/usr/bin/env python3
"""Runs the shares of crossval on a Ray cluster and puts the receipts together.

    pip install ray
    python3 scripts/jobs/ray_driver.py --harness target/release/harness --shares 8 \
        --receipt whole.json -- --reference bitnet

Words behind `--` go to every `harness crossval`. A worker that dies is replaced and its share asked
again, three times at most. Without a cluster (RAY_ADDRESS) workers of this machine are used.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import ray

DONE = {0, 1, 3, 5, 6, 7, 8}  # a verdict; everything else is no receipt


@ray.remote(num_cpus=1, max_retries=3)
def share(harness, index, shares, words):
    """The receipt of one share, as text: workers need no folder in common."""
    with tempfile.TemporaryDirectory() as folder:
        receipt = pathlib.Path(folder, "share.json")
        line = [harness, "crossval", "--shard", f"{index}/{shares}", "--json", receipt, *words]
        ended = subprocess.run(line, capture_output=True, text=True, check=False)
        if ended.returncode not in DONE:
            raise RuntimeError(f"share {index}: exit code {ended.returncode}\n{ended.stderr}")
        return index, ended.returncode, receipt.read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", default="harness")
    parser.add_argument("--shares", type=int, default=4)
    parser.add_argument("--receipt", required=True)
    parser.add_argument("words", nargs="*", help="for harness crossval, behind --")
    asked = parser.parse_args()
    harness = str(pathlib.Path(asked.harness).resolve()) if "/" in asked.harness else asked.harness
    ray.init(log_to_driver=False)
    waiting = [
        share.remote(harness, index, asked.shares, asked.words)
        for index in range(1, asked.shares + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        receipts = []
        while waiting:
            [ready], waiting = ray.wait(waiting)
            index, code, text = ray.get(ready)
            print(f"share {index}/{asked.shares} ended with {code}", flush=True)
            receipts.append(pathlib.Path(folder, f"share-{index}.json"))
            receipts[-1].write_text(text)
        line = [harness, "receipt", "merge", *receipts, "--json", asked.receipt]
        sys.exit(subprocess.run(line, check=False).returncode)


if __name__ == "__main__":
    main()
