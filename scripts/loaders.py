"""Compares what other readers say of malformed files with what the engine says.

    loaders.py FOLDER KNOWN.tsv                 # of the Python package `gguf`, in this process
    loaders.py FOLDER KNOWN.tsv NAME LOADED     # of a C++ reference: what `reference load` wrote

FOLDER holds the files and list.tsv: file, stage and word of the engine, as the engine's test of
malformed files leaves them. Each difference must be in KNOWN with a reason, and each entry of KNOWN
must be one.
"""

import csv
import json
import os
import resource
import signal
import sys
from collections import Counter

# Of processor time, for one file.
SECONDS = 4
# 60,000 tensors: the package reads them, but takes longer than all others together.
SLOW = "T38"


def of_package(reader, path):
    """What the package says of a file."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader(path)
        return "accepted"
    except TimeoutError:
        return "hung"
    except Exception:  # whatever it is, the file was not read
        return "refused"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def ring(*_):
    raise TimeoutError


def ours(folder, refusing):
    """The engine's word on each file that others could read too: what it refuses in time.

    `refusing` tells of a stage and a word whether a reader of that kind would have met it. Nobody
    else knows I2_S under the number that every file of the other base has.
    """
    with open(os.path.join(folder, "list.tsv")) as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[0].startswith("llama-")]
    word = lambda stage, word: "refused" if refusing(stage, word) else "accepted"
    words = {name: word(stage, said) for name, stage, said in rows}
    del words[f"llama-{SLOW}.gguf"]
    return words


def loaded(path):
    """What became of each file in a process of the reference."""
    words = {"ok": "accepted", "reference_died": "died"}
    with open(path) as file:
        rows = json.load(file)
    return {os.path.basename(row["file"]): words.get(row["outcome"], row["outcome"]) for row in rows}


def known(path, reader):
    """The reader's entries of the list: of each file, the engine's word and the reader's."""
    entries = {}
    with open(path) as file:
        rows = [line for line in file if not line.startswith("#")]
    for who, engine, other, files, reason in csv.reader(rows, delimiter="\t"):
        assert reason, f"{files}: an entry without a reason"
        for name in files.split() if who == reader else []:
            assert name not in entries, f"{name} is listed twice"
            entries[f"llama-{name}.gguf"] = (engine, other)
    return entries


def complaints(engine, other, entries):
    """What is neither the same nor listed, and what is listed and not so."""
    found = []
    for name in engine.keys() | entries.keys():
        pair, listed = (engine.get(name), other.get(name)), entries.get(name)
        if listed is None and pair[0] != pair[1]:
            found.append(f"{name}: {pair[1]} by the other, {pair[0]} by the engine")
        if listed is not None and listed != pair:
            found.append(f"{name}: listed as {listed}, and it is {pair}")
    return found


def notices(engine, other, entries):
    """Whether another word, an entry too few and one too many are noticed."""
    same = next(name for name in engine if engine[name] == other[name])
    changed = {"accepted": "refused", "refused": "accepted"}[other[same]]
    fewer = dict(list(entries.items())[1:])
    more = entries | {same: (engine[same], changed)}
    planted = [(other | {same: changed}, entries), (other, fewer), (other, more)]
    return all(len(complaints(engine, *plant)) == 1 for plant in planted)


def main(folder, listed, reader="gguf", outcomes=None):
    if outcomes:
        engine = ours(folder, lambda _, word: word != "accepted")
        said = loaded(outcomes)
    else:
        from gguf import GGUFReader

        signal.signal(signal.SIGPROF, ring)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        engine = ours(folder, lambda stage, _: stage == "Parse")
        said = {name: of_package(GGUFReader, os.path.join(folder, name)) for name in engine}
    # Who dies of a file has not accepted it.
    other = {name: "refused" if word == "died" else word for name, word in said.items()}
    entries = known(listed, reader)
    bad = complaints(engine, other, entries)
    differ = sum(engine[name] != other.get(name) for name in engine)
    counts = ", ".join(f"{n} {word}" for word, n in sorted(Counter(said.values()).items()))
    print(f"{reader}: {len(engine)} files: {counts}; {differ} not as the engine says, each listed;"
          f" {SLOW} was not asked")
    if not bad and not notices(engine, other, entries):
        bad = ["a planted difference was not noticed"]
    for complaint in sorted(bad):
        print(complaint)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
