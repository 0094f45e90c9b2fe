"""Training state on disk: written next to the old file and swapped in, so a kill loses nothing."""

import os

import torch


def save(path, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path):
    return torch.load(path, weights_only=True) if path.exists() else None


def cosine_lr(step, steps, peak, warmup=100, floor=0.01):
    """Linear rise, then a cosine down to floor * peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * share)).item()))
