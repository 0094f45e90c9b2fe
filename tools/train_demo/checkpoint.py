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


def flat_lr(step, steps, warmup, decay_from):
    """Share of the peak rate: a straight line up, flat, from that share of the steps on down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return min(1.0, (steps - step) / (steps * (1 - decay_from)))
