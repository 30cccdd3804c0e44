"""Serve one GGUF file with llama.cpp's own server on the loopback interface, until standard input closes.

Runs in the peers' environment, where xllamacpp is; draftpick is not needed there. The first line of standard output is
JSON: the server's address, its version, and what its build uses of the processor.
"""

import argparse
import json
import sys
from importlib.metadata import version

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="GGUF file of the target")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of prompt and answer")
    parser.add_argument("--draft", help="GGUF file of a small model that drafts")
    parser.add_argument("--ngram", action="store_true", help="draft by llama.cpp's ngram-simple")
    options = parser.parse_args()
    server = xllamacpp.Server(parameters(options))
    said = {
        "address": server.listening_address,
        "version": f"xllamacpp {version('xllamacpp')}",
        "system": xllamacpp.get_system_info(),
    }
    print(json.dumps(said), flush=True)
    sys.stdin.read()


def parameters(options: argparse.Namespace) -> xllamacpp.CommonParams:
    """Return llama.cpp's defaults, but for what the command line says, one slot, and no log."""
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = ["127.0.0.1"]
    params.n_ctx, params.n_parallel = options.context, 1
    params.verbosity = 1
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = options.threads
    kinds = xllamacpp.common_speculative_type
    if options.ngram:
        params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    if options.draft:
        params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        params.speculative.draft.mparams.path = options.draft
        for pool in (params.speculative.draft.cpuparams, params.speculative.draft.cpuparams_batch):
            pool.n_threads = options.threads
    return params


if __name__ == "__main__":
    main()
