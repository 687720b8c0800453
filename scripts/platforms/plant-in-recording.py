#!/usr/bin/env python3
"""Makes the last logit of a recording one unit off and hashes all anew, so that only who computes
it can tell.

    scripts/platforms/plant-in-recording.py FOLDER-OF-RECORDINGS NAME
"""
import hashlib
import json
import sys

folder, name = sys.argv[1:]
logits, about = (f"{folder}/{name}/{file}" for file in ("logits.safetensors", "recording.json"))


def hashed(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


with open(logits, "r+b") as file:
    file.seek(-4, 2)
    bits = file.read(4)
    file.seek(-4, 2)
    file.write(bytes([bits[0] ^ 1]) + bits[1:])
with open(about) as file:
    recording = json.load(file)
recording["files"]["logits.safetensors"] = hashed(logits)
with open(about, "w") as file:
    json.dump(recording, file)
with open(f"{folder}/checksums.txt") as file:
    names = [line.split()[1] for line in file]
with open(f"{folder}/checksums.txt", "w") as file:
    file.writelines(f"{hashed(f'{folder}/{name}')}  {name}\n" for name in names)
