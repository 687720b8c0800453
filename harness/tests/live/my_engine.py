"""An engine of which there is only the tokenizer: `harness tokenize`, behind the protocol."""

import json
import subprocess

import subject


class Words(subject.Engine):
    name = "words 1"
    decodes = False

    def open(self, path):
        words = ["harness", "tokenize", "--model", path, "--jsonl"]
        pipe = subprocess.PIPE
        self.words = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        return 1024

    def tokenize(self, text):
        self.words.stdin.write(json.dumps(text) + "\n")
        self.words.stdin.flush()
        return json.loads(self.words.stdout.readline())


subject.run(Words())
