"""Trains the demo model from nothing: tokenizer, VAE, then text encoder and transformer.

    python tools/train_demo/train.py --out models/demo

A run that was stopped goes on from its checkpoints in --work; delete that folder to start over.
"""

import argparse
from pathlib import Path

import torch

import flow
import reading
import tokens
import vae
from export import DEFAULT_WORK, export


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="folder of checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    def log(line):
        print(line, flush=True)

    codec = vae.train(args.work, log)
    reading.train(flow.Captioner(tokens.build()), args.work, log)
    flow.train(codec, args.work)
    vae.polish_decoder(args.work, log)
    export(args.out, args.work)


if __name__ == "__main__":
    main()
