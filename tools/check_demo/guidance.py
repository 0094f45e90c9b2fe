"""Checks that guidance and a negative prompt change the picture the way they should.

    python tools/check_demo/guidance.py --model models/demo --out /tmp/guidance [--program zimage]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from draw import Job, Preset, draw, prompts
from judge import Picture, faults

SEEDS = range(1, 4)
OPEN_PROMPTS = ["a circle on a white background", "a heart on a black background",
                "a big square on a yellow background", "a star on a white background"]  # fmt: skip


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)


def _score_at(args, guidance, count=24):
    """Share of right pictures for every third prompt, and their jobs."""
    entries = prompts()[::3][:count]
    jobs = [
        Job(entry["prompt"], seed, args.out / f"g{guidance:g}" / f"{i:03d}-{seed}.png")
        for i, entry in enumerate(entries)
        for seed in SEEDS
    ]
    draw(args, jobs, Preset(args.steps, guidance))
    wanted = [entry for entry in entries for _ in SEEDS]
    right = sum(not faults(Image.open(job.path), entry) for job, entry in zip(jobs, wanted))
    return right / len(jobs), jobs


def _colours(args, name, negative, guidance):
    """How often the object (colour left open by the prompt) comes out in each colour."""
    jobs = [
        Job(prompt, seed, args.out / name / f"{i}-{seed}.png", negative)
        for i, prompt in enumerate(OPEN_PROMPTS)
        for seed in range(1, 13)
    ]
    draw(args, jobs, Preset(args.steps, guidance))
    found = [Picture(Image.open(job.path)).find() for job in jobs]
    return [f.colour if f else "none" for f in found], jobs


def _check(claim, holds):
    print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--program")
    parser.add_argument("--steps", type=int, default=Preset.steps)
    parser.add_argument("--guidance", type=float, default=Preset.guidance)
    args = parser.parse_args()

    plain, plain_jobs = _score_at(args, 0)
    guided, guided_jobs = _score_at(args, args.guidance)
    strong, strong_jobs = _score_at(args, 2 * args.guidance)
    changes = [
        np.abs(_pixels(a.path) - _pixels(b.path)).mean()
        for a, b in zip(plain_jobs + guided_jobs, guided_jobs + strong_jobs)
    ]
    free, _ = _colours(args, "free", "", args.guidance)
    ok = [
        _check(f"guidance changes the picture: at least {min(changes):.2f} levels", min(changes) > 0),
        _check(
            f"guidance follows the prompt better: {plain:.0%} at 0, {guided:.0%} at "
            f"{args.guidance:g}, {strong:.0%} at {2 * args.guidance:g}",
            guided >= plain,
        ),
    ]
    for colour in ("red", "blue"):
        shunned, _ = _colours(args, f"no-{colour}", colour, args.guidance)
        before, after = free.count(colour), shunned.count(colour)
        ok.append(
            _check(
                f"negative prompt {colour!r}: {before} of {len(free)} objects were {colour}, "
                f"{after} are",
                after < before or after == 0,
            )
        )
    if not all(ok):
        raise SystemExit("not all claims hold")


if __name__ == "__main__":
    main()
