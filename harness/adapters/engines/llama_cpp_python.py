"""llama-cpp-python as an engine that stays up; WRONG_ROPE_BASE plants a fault."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import llama_cpp
import subject


class LlamaCpp(subject.Engine):
    name = f"llama-cpp-python {llama_cpp.__version__}"

    def open(self, path):
        self.path = path
        return self.session(16, 16, 1).n_vocab()

    def session(self, context, ubatch, threads):
        return llama_cpp.Llama(
            model_path=self.path,
            n_ctx=context,
            n_batch=max(context, ubatch),
            n_ubatch=ubatch,
            n_threads=threads,
            n_threads_batch=threads,
            logits_all=True,
            rope_freq_base=float(os.environ.get("WRONG_ROPE_BASE", 0)),
            verbose=False,
        )

    def begin(self, context, ubatch, threads):
        self.llama = self.session(context, ubatch, threads)

    def feed(self, tokens, last):
        before = self.llama.n_tokens
        self.llama.eval(tokens)
        rows = self.llama.scores[before:self.llama.n_tokens]
        return rows[-1:] if last else rows

    def tokenize(self, text):
        return self.session(16, 16, 1).tokenize(text.encode(), add_bos=True, special=True)


subject.serve(LlamaCpp())
