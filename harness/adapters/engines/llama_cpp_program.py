"""llama-cpp-python as a program that is run once for each prompt and lane:

    python llama_cpp_program.py -m {model} --tokens {tokens} --lane {lane} --ubatch {ubatch} --logits {logits}
"""

import argparse

import llama_cpp
import numpy

words = argparse.ArgumentParser()
words.add_argument("-m", required=True)
words.add_argument("--tokens", required=True)
words.add_argument("--lane", required=True, choices=["prefill", "decode"])
words.add_argument("--ubatch", required=True, type=int)
words.add_argument("--logits", required=True)
words = words.parse_args()

tokens = [int(token) for token in words.tokens.split(",")]
llama = llama_cpp.Llama(
    words.m, n_ctx=512, n_ubatch=words.ubatch, n_threads=1, logits_all=True, verbose=False
)
for feed in [tokens] if words.lane == "prefill" else [[token] for token in tokens]:
    llama.eval(feed)
numpy.save(words.logits, llama.scores[: llama.n_tokens].astype(numpy.float32))
