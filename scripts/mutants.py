"""Asks a ladder of oracles about every mutant of a build, and scores the answers.

    mutants.py choose LIST [--shard K/N] [--sample N --seed S]   those that go into the build
    mutants.py judge WORK                                        goes on where it was ended
    mutants.py score WORK REASONS [--json FILE]                  1 for a survivor without a reason

WORK is what scripts/mutants.sh makes: tree/ with the switches in it, planted.json, harness, and
unit, which names the test programs.
"""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import time

NOTHING = "nothing"
# Those that need nobody but the committed recordings come first; unit tests are the last. What is
# on record of single functions, in every set of instructions, is a part of `weights`.
LADDER = {
    "crossval": [["{harness}", "crossval", "--fail-fast"]],
    "weights": [["{harness}", "weights"]],
    "shapes": [["{harness}", "shapes", "--recorded"]],
    "metamorphic": [["{harness}", "metamorphic"]],
    "unit tests": None,
}
# What only some processors run, by the beginning of a path or a word of its key, and one of the
# words by which /proc/cpuinfo calls what they have.
ELSEWHERE = {
    "engine/src/kernels/neon": "asimddp",
    "engine/src/kernels/avx512": "avx512_vnni",
    "engine/src/kernels/x86/amx": "amx_int8",
    "engine/src/numerics/x86/heads.rs": "avx512f",
    "::avx512vl ": "avx512_vnni",
    "::avxvnni ": "avx_vnni",
}
ELSEWHERE_FILE = "elsewhere.json"
# A mutant may loop; that, too, is noticed. So many times as long as without one, and some seconds.
PATIENCE, GRACE = 4, 20


def elsewhere(mutant):
    """Whether nothing on this processor runs what a mutant changes."""
    told = open("/proc/cpuinfo").read().split() if os.path.exists("/proc/cpuinfo") else []
    where = f"{mutant['file']}: {mutant['name']} "
    return any(begin in where and word not in told for begin, word in ELSEWHERE.items())


class Build:
    """A build with every mutant in it, and what it passes without one."""

    def __init__(self, work):
        self.work = os.path.abspath(work)
        self.planted = json.load(open(self.path("planted.json")))
        self.mutants = {m["number"]: m for m in self.planted["mutants"]}
        self.ladder = dict(LADDER)
        self.ladder["unit tests"] = [[line.strip()] for line in open(self.path("unit"))]

    def path(self, name):
        return os.path.join(self.work, name)

    def run(self, oracle, mutant, patience=None):
        """Whether an oracle ends well; None if it does not end."""
        env = {k: v for k, v in os.environ.items() if k != "BITNET_CPP_DIR"}
        env |= {"ENGINE_MUTANT": str(mutant), "ENGINE_MUTANT_REACHED": self.reach_file(oracle)}
        for command in self.ladder[oracle]:
            command = [word.format(harness=self.path("harness")) for word in command]
            limited = ["bash", "-c", 'ulimit -v 12582912; exec "$@"', "limited", *command]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            where = self.path("tree/engine") if oracle == "unit tests" else self.path("tree")
            asked = subprocess.Popen(limited, cwd=where, env=env, start_new_session=True, **quiet)
            try:
                if asked.wait(patience) != 0:
                    return False
            except subprocess.TimeoutExpired:
                os.killpg(asked.pid, 9)
                asked.wait()
                return None
        return True

    def reach_file(self, oracle):
        return self.path(f"reached.{oracle.replace(' ', '-')}")

    def baseline(self):
        """By oracle, the seconds it takes without a mutant and the switches that it passes."""
        known = self.path("baseline.json")
        if os.path.exists(known):
            seconds = json.load(open(known))
        else:
            seconds = {}
            for oracle in self.ladder:
                open(self.reach_file(oracle), "w").close()
                start = time.time()
                for mutant in (0, "reach"):
                    if not self.run(oracle, mutant):
                        sys.exit(f"without a mutant, {oracle} fails")
                seconds[oracle] = time.time() - start
            json.dump(seconds, open(known, "w"))
        passed = {o: set(map(int, open(self.reach_file(o)))) for o in self.ladder}
        return seconds, passed

    def noticed(self, number, seconds, passed):
        """The first oracle that notices a mutant; those that never pass its switch cannot."""
        for oracle in self.ladder:
            if number not in passed[oracle]:
                continue
            ended = self.run(oracle, number, seconds[oracle] * PATIENCE + GRACE)
            if not ended:
                return oracle
        return NOTHING if any(number in seen for seen in passed.values()) else "not reached"

    def results(self):
        """What is known of the mutants of this build: the oracle by key."""
        path = self.path("results.tsv")
        lines = open(path) if os.path.exists(path) else []
        rows = [line.rstrip("\n").split("\t") for line in lines]
        keys = {m["key"] for m in self.mutants.values()}
        return {key: oracle for oracle, key in rows if key in keys}


def choose(args):
    mutants = json.load(open(args.list))
    if args.sample:
        numbers = range(len(mutants))
        drawn = random.Random(args.seed).sample(numbers, min(args.sample, len(mutants)))
        mutants = [mutants[number] for number in sorted(drawn)]
    first, step = map(int, args.shard.split("/"))
    mutants = mutants[first - 1 :: step]
    here = [mutant for mutant in mutants if not elsewhere(mutant)]
    with open(os.path.join(os.path.dirname(args.list), ELSEWHERE_FILE), "w") as file:
        json.dump(len(mutants) - len(here), file)
    json.dump(here, sys.stdout)


def judge(args):
    build = Build(args.work)
    seconds, passed = build.baseline()
    print({oracle: (round(s, 1), len(passed[oracle])) for oracle, s in seconds.items()})
    known = build.results()
    with open(build.path("results.tsv"), "a") as out:
        # In no order of the files, so that an ended run is a sample of the whole one.
        for number in random.Random(0).sample(list(build.mutants), len(build.mutants)):
            key = build.mutants[number]["key"]
            if key in known:
                continue
            oracle = build.noticed(number, seconds, passed)
            print(f"{oracle:12} {key}", flush=True)
            out.write(f"{oracle}\t{key}\n")
            out.flush()


def reasons(path):
    rows = (line.rstrip("\n") for line in open(path))
    return dict(row.split("\t") for row in rows if row and not row.startswith("#"))


def gone(entry):
    """Whether no source has the line any more that an entry is about."""
    path, _, rest = entry.partition(": ")
    line = rest.partition(" at `")[2].rpartition("`")[0]
    return bool(line) and line not in map(str.strip, open(path)) if os.path.exists(path) else True


def excuses(entry, key):
    """An entry is a key, or the beginning of some, which ends with a star."""
    return key.startswith(entry[:-1]) if entry.endswith("*") else key == entry


def score(args):
    build, known = Build(args.work), reasons(args.reasons)
    results = build.results()
    survivors = {k: o for k, o in results.items() if o not in build.ladder}
    told = {k: next((known[e] for e in known if excuses(e, k)), None) for k in survivors}
    stale = [e for e in known if gone(e) or any(excuses(e, k) for k in results) and
             not any(excuses(e, k) for k in survivors)]
    counts = collections.Counter(results.values())
    elsewhere_count = json.load(open(build.path(ELSEWHERE_FILE)))
    excused = sum(why is not None for why in told.values())
    report = {
        "schema_version": 1,
        "asked": len(results),
        "of": len(build.mutants),
        "for_other_processors": elsewhere_count,
        "without_a_switch": build.planted["left_out"],
        "noticed_first_by": {oracle: counts[oracle] for oracle in build.ladder},
        "excused": excused,
        "survivors": [
            {"mutant": k, "reached": o == NOTHING, "reason": told[k]} for k, o in survivors.items()
        ],
        "stale_reasons": stale,
    }
    left_out = build.planted["left_out"]
    print(f"{len(results)} of {len(build.mutants)} mutants asked; no switch: {left_out}; "
          f"{elsewhere_count} of code for other processors, asked by nobody here")
    for oracle in build.ladder:
        print(f"{oracle:12} {counts[oracle]:5}")
    print(f"{'excused':12} {excused:5}\n{'survive':12} {len(survivors) - excused:5}")
    for key, oracle in sorted(survivors.items()):
        print(f"{'NO REASON' if told[key] is None else told[key]}: {key} ({oracle})")
    for entry in stale:
        print(f"STALE: {entry} is noticed, or no longer there; its reason must go")
    if args.json:
        json.dump(report, open(args.json, "w"), indent=1)
    sys.exit(bool(stale or excused < len(survivors)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(required=True)
    draw = what.add_parser("choose")
    draw.add_argument("list")
    draw.add_argument("--shard", default="1/1")
    draw.add_argument("--sample", type=int)
    draw.add_argument("--seed", type=int, default=0)
    draw.set_defaults(do=choose)
    ask = what.add_parser("judge")
    ask.add_argument("work")
    ask.set_defaults(do=judge)
    end = what.add_parser("score")
    end.add_argument("work")
    end.add_argument("reasons")
    end.add_argument("--json")
    end.set_defaults(do=score)
    args = parser.parse_args()
    args.do(args)


main()
