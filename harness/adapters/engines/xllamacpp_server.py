"""llama-server from the package xllamacpp, on a model that it knows: `python xllamacpp_server.py
MODEL ADDRESS_FILE`. Writes its address to the file when it listens, and serves until it is ended.
"""

import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 512
params.n_parallel = 1
params.warmup = False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
with open(sys.argv[2], "w", encoding="utf-8") as address:
    address.write(server.listening_address)
signal.pause()
