"""An engine in Python that `harness crossval --subject 'serve: python3 my_engine.py'` can judge.

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

and end the file with `subject.serve(Mine())`. With methods `truncate(length)`, `tokenize(text)` and
`detokenize(tokens)` it is asked for these, too; with `shows_nodes = True` it calls
`self.show(key, values)` for each node while it computes. What is not there is not asked for.
A refusal is an exception; its text is told.
"""

import array
import base64
import json
import os
import sys

PROTOCOL = 1


class Engine:
    """What the harness asks of an engine. `profile` is the arithmetic it claims, if any."""

    name = None
    profile = None
    shows_nodes = False
    decodes = True

    def open(self, path):
        raise NotImplementedError("open")

    def begin(self, context, ubatch, threads):
        raise NotImplementedError("begin")

    def feed(self, tokens, last):
        raise NotImplementedError("feed")

    def show(self, key, values):
        """Shows a node of the graph, under the name that llama.cpp has for it: `Qcur-0|MUL_MAT#0`."""
        if self.watched is not None:
            shape = list(getattr(values, "shape", None) or _shape(values))
            data = base64.b64encode(_bytes(values)).decode()
            self.watched.append({"key": key, "shape": shape, "data": data})

    watched = None


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
    offers += [name for name in ("tokenize", "detokenize") if hasattr(engine, name)]
    return offers + (["nodes"] if engine.shows_nodes else [])


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
