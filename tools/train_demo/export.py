"""Writes the trained parts as a snapshot in the published folder layout, weights in bf16."""

import argparse
import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

import flow
import tokens
import vae as vae_module

DEFAULT_WORK = Path.home() / ".cache" / "zimage" / "train_demo"
MODEL_INDEX = {
    "_class_name": "ZImagePipeline",
    "_diffusers_version": "0.38.0",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen3Model"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "ZImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(out, work):
    tokenizer = tokens.build()
    text_encoder, transformer = flow.averages(tokenizer.get_vocab_size(), work)
    tokens.save(tokenizer, out / "tokenizer")
    parts = {
        "text_encoder": text_encoder,
        "transformer": transformer,
        "vae": vae_module.trained(work),
    }
    for name, model in parts.items():
        model.to(torch.bfloat16).save_pretrained(out / name)
    scheduler = FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000, shift=flow.SHIFT, use_dynamic_shifting=False
    )
    scheduler.save_pretrained(out / "scheduler")
    (out / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="folder of checkpoints")
    args = parser.parse_args()
    export(args.out, args.work)


if __name__ == "__main__":
    main()
