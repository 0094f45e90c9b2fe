"""Seeded tensors that tests build again bit by bit, so that golden data need not hold weights."""

import json
import math
import pathlib

import numpy as np
import torch

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data"


def hash_of(name):
    """64-bit FNV-1a."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def uniform(name, shape, mean=0.0, spread=1.0):
    """f32 values mean +- spread: 24 bits of splitmix64 each, counted from the hash of the name.

    With a spread that is a power of two every operation but the last sum is exact.
    """
    with np.errstate(over="ignore"):
        index = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
        z = np.uint64(hash_of(name)) + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    values = np.float32(mean) + np.float32(spread) * unit
    return torch.from_numpy(values.reshape(shape))


def distribution_of(name, shape):
    """(mean, spread) that keep activations near one: norms about 1, projections by fan-in."""
    if "norm" in name or name == "cap_embedder.0.weight":
        return 1.0, 0.5
    if name.endswith(".bias"):
        return 0.0, 0.25
    if name.endswith("pad_token") or "embed_tokens" in name:
        return 0.0, 1.0
    return 0.0, 2.0 ** round(math.log2(math.sqrt(3 / shape[-1])))


def fill(model):
    """Gives every parameter its seeded values, rounded to bf16. Returns a description of them."""
    tensors = []
    with torch.no_grad():
        for name, parameter in model.state_dict().items():
            shape = list(parameter.shape)
            mean, spread = distribution_of(name, shape)
            parameter.copy_(uniform(name, shape, mean, spread).bfloat16().float())
            tensors.append({"name": name, "shape": shape, "mean": mean, "spread": spread})
    return tensors


def save_json(path, value):
    """One item of an inner list per line."""
    items = ",\n".join(
        f" {json.dumps(key)}: "
        + ("[\n  " + ",\n  ".join(map(json.dumps, part)) + "\n ]"
           if isinstance(part, list) else json.dumps(part))
        for key, part in value.items()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + items + "\n}\n")
