"""Holds what llama-perplexity printed against what `harness kl` measured of the same library.

    python3 scripts/llama-perplexity.py FOLDER

The program sums in single precision here and there, so a number may differ by one in its last
printed digit, or by 2**-23 of itself where it prints more digits than singles have; codes of the
base file must be the same, all of them.
"""

import json
import math
import re
import sys

folder = sys.argv[1]


def text(name):
    with open(f"{folder}/{name}.txt", encoding="utf-8") as file:
        return file.read()


def report(name):
    """What was kept, and the live library's row."""
    with open(f"{folder}/{name}.json", encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    (library,) = [row for row in rows if row["computed_by"]["name"] == "llama"]
    return rows[0], library


failed = compared = 0


def same(label, pattern, said, ours):
    """The number behind `pattern` in what the program said is ours, as far as it is printed."""
    global failed, compared
    found = re.search(pattern + r"\s*(-?\d+\.(\d+))", said)
    theirs, digits = (found[1], len(found[2])) if found else ("nothing", 0)
    ok = False
    if found and math.isfinite(ours):
        most = max(1.5 * 10.0**-digits, 2.0**-23 * abs(float(theirs)))
        ok = abs(ours - float(theirs)) < most
    compared += 1
    failed += not ok
    print(f"{'ok    ' if ok else 'FAILED'}  {label}: {theirs}, here {ours:.{digits}f}")


_, library = report("base")
same("PPL of the base", "Final estimate: PPL =", text("base"), library["perplexity"])
apart = library["from_first"]
equal, codes = apart["equal_logits"], apart["logits"]
compared += 1
failed += equal != codes
print(f"{'ok    ' if equal == codes else 'FAILED'}  codes of the base file: {equal} of {codes}")

kept, library = report("small")
said, apart = text("small"), library["from_first"]
same("PPL", r"Mean PPL\(Q\)\s*:", said, library["perplexity"])
same("PPL kept in the base", r"Mean PPL\(base\)\s*:", said, kept["perplexity"])
same("ratio of both", r"Mean PPL\(Q\)/PPL\(base\)\s*:", said, apart["ratio"])
same("mean KLD", "Mean    KLD:", said, apart["mean_kl"])
same("median KLD", "Median  KLD:", said, apart["median_kl"])
names = ["Minimum", " 0.1%", " 1.0%", " 5.0%", "10.0%", None, "90.0%", "95.0%", "99.0%", "99.9%"]
for name, value in zip(names + ["Maximum"], apart["quantiles"]):
    if name:
        same(f"{name} KLD".strip(), re.escape(name) + r"\s+KLD:", said, value)
share = 100 * apart["same_top1"] / library["positions"]
same("same top p, %", "Same top p:", said, share)
print(f"{compared - failed} of {compared} are the same")
sys.exit(failed > 0)
