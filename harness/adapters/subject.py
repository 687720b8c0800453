"""An engine in Python that `harness crossval --subject` can judge, in either of two ways:

    'serve: python3 my_engine.py'
    'cmd: python3 my_engine.py --model {model} --tokens {tokens} --logits {logits}'

The second may also have `--trace {trace}`, `--lane {lane}`, `--ubatch {ubatch}`, `--threads
{threads}`.

Copy this file beside yours. It needs the standard library; numpy arrays and torch tensors are
taken as well as lists. Either write a class that goes on where it was,

    class Mine(subject.Engine):
        name = "my-engine 1.2"
        def open(self, path): ...; return vocabulary_size
        def begin(self, context, ubatch, threads): ...      # an empty cache
        def feed(self, tokens, last): ...; return rows      # of each token, or of the last only

or, where a whole prompt is what the engine computes, one that has no cache,

    class Mine(subject.Whole):
        name = "my-engine 1.2"
        def open(self, path): ...; return vocabulary_size
        def logits(self, tokens): ...; return rows          # of every token

and end the file with `subject.run(Mine())`. With methods `truncate(length)`, `tokenize(text)` and
`detokenize(tokens)` it is asked for these, too; with `shows_nodes = True` it calls
`self.show(key, values)` for each node while it computes; with `replaces_nodes = True` it goes on
from what that returns: the harness may have put other values there. What is not there is not asked
for. A refusal is an exception; its text is told.
"""

import argparse
import array
import base64
import json
import os
import struct
import sys

PROTOCOL = 1


class Engine:
    """What the harness asks of an engine. `profile` is the arithmetic it claims, if any."""

    name = None
    profile = None
    shows_nodes = False
    replaces_nodes = False
    decodes = True

    def open(self, path):
        raise NotImplementedError("open")

    def begin(self, context, ubatch, threads):
        raise NotImplementedError("begin")

    def feed(self, tokens, last):
        raise NotImplementedError("feed")

    def show(self, key, values):
        """Shows a node of the graph, under the name that llama.cpp has for it: `Qcur-0|MUL_MAT#0`.

        Returns what to go on from: the values, or others in their place.
        """
        if self.watched is not None:
            shape = list(getattr(values, "shape", None) or _shape(values))
            data = base64.b64encode(_bytes(values)).decode()
            self.watched.append({"key": key, "shape": shape, "data": data})
        given = self.given.get(key)
        return values if given is None else _like(values, given, key)

    watched = None
    given = {}


class Whole(Engine):
    """An engine without a cache: every feed computes all that was fed so far."""

    def begin(self, context, ubatch, threads):
        self.fed = []

    def feed(self, tokens, last):
        self.fed = self.fed + list(tokens)
        rows = self.logits(self.fed)
        return rows[-1:] if last else rows[len(self.fed) - len(tokens):]

    def truncate(self, length):
        self.fed = self.fed[:length]

    def logits(self, tokens):
        raise NotImplementedError("logits")


def _shape(values):
    shape = []
    while isinstance(values, (list, tuple)):
        shape.append(len(values))
        values = values[0] if values else 0
    return shape


def _like(values, given, key):
    """The values that were given, as the kind of array that those in their place are."""
    floats = array.array("f")
    floats.frombytes(base64.b64decode(given["data"]))
    if sys.byteorder == "big":
        floats.byteswap()
    count = len(_bytes(values)) // 4
    if len(floats) != count:
        raise ValueError(f"{len(floats)} values are given for {key}, which has {count}")
    if hasattr(values, "new_tensor"):
        return values.new_tensor(floats.tolist()).reshape(values.shape)
    if hasattr(values, "astype"):
        import numpy

        return numpy.array(floats, dtype=values.dtype).reshape(values.shape)
    return _nested(floats.tolist(), _shape(values))


def _nested(flat, shape):
    for size in reversed(shape[1:]):
        flat = [flat[at : at + size] for at in range(0, len(flat), size)]
    return flat


def _flat(values):
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    else:
        yield float(values)


def _bytes(values):
    """Little-endian float32, row after row."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    if hasattr(values, "astype"):
        return values.astype("<f4").tobytes()
    floats = array.array("f", _flat(values))
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def _offers(engine):
    offers = ["prefill", "rows"] + (["decode", "greedy"] if engine.decodes else [])
    offers += [name for name in ("tokenize", "detokenize", "truncate") if hasattr(engine, name)]
    offers += ["nodes"] if engine.shows_nodes else []
    return offers + (["replace"] if engine.replaces_nodes else [])


def _answer(engine, asked):
    op = asked["op"]
    if op == "hello":
        return {
            "protocol": PROTOCOL,
            "name": engine.name,
            "profile": engine.profile,
            "offers": _offers(engine),
        }
    if op == "open":
        return {"vocab": int(engine.open(asked["model"]))}
    if op == "tokenize":
        return {"tokens": [int(token) for token in engine.tokenize(asked["text"])]}
    if op == "detokenize":
        return {"text": engine.detokenize(asked["tokens"])}
    if op == "begin":
        engine.watched = [] if asked["nodes"] else None
        engine.given = {node["key"]: node for node in asked.get("replace", [])}
        engine.begin(asked["context"], asked["ubatch"], asked["threads"])
        return {}
    if op == "feed":
        rows = engine.feed(asked["tokens"], asked["logits"] == "last")
        answer = {"logits": base64.b64encode(_bytes(rows)).decode()}
        if engine.watched is not None:
            answer["nodes"], engine.watched = engine.watched, []
        return answer
    if op == "truncate":
        engine.truncate(asked["length"])
        return {}
    raise ValueError(f"there is no {op!r} in version {PROTOCOL} of the protocol")


def serve(engine):
    """Answers until the harness says goodbye. What the engine prints goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["op"] == "bye":
            print(json.dumps({"ok": True}), file=channel, flush=True)
            return
        try:
            answer = {"ok": True, **_answer(engine, asked)}
        except Exception as refusal:  # whatever it is, the next question is another matter
            answer = {"ok": False, "error": f"{type(refusal).__name__}: {refusal}"}
        print(json.dumps(answer), file=channel, flush=True)


def once(engine, words):
    """Computes what a command line asks for, and writes it to the files it names."""
    parser = argparse.ArgumentParser()
    for flag in ("--model", "--tokens", "--logits"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--trace")
    parser.add_argument("--lane", choices=("prefill", "decode"), default="prefill")
    parser.add_argument("--ubatch", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    tokens = [int(token) for token in asked.tokens.split(",")]
    feeds = [[token] for token in tokens] if asked.lane == "decode" else [tokens]
    vocab = int(engine.open(asked.model))
    engine.watched = [] if asked.trace else None
    engine.begin(len(tokens), asked.ubatch, asked.threads)
    rows = b"".join(_bytes(engine.feed(feed, False)) for feed in feeds)
    with open(asked.logits, "wb") as file:
        shape = f"({len(tokens)}, {vocab})"
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
        header = header.ljust(117) + "\n"
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + rows)
    if asked.trace:
        header, data = {}, b""
        for node in engine.watched:
            values = base64.b64decode(node["data"])
            place = [len(data), len(data) + len(values)]
            data += values
            header[node["key"]] = {"dtype": "F32", "shape": node["shape"], "data_offsets": place}
        header = json.dumps(header).encode()
        with open(asked.trace, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + data)


def run(engine):
    """Serves; with words on its command line computes what they ask for, once."""
    words = sys.argv[1:]
    if "--logits" in words:
        once(engine, words)
    else:
        serve(engine)
