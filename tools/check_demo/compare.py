"""The check's prompts drawn under several settings, compared with the pictures of the first."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from draw import draw, jobs_of_check, prompts
from judge import faults


@dataclass
class Compared:
    name: str
    jobs: list
    psnr: list  # dB, of every picture
    right: int  # pictures that show what was asked

    def __str__(self):
        return (
            f"{self.name}: PSNR {np.median(self.psnr):.1f} dB (worst {min(self.psnr):.1f}), "
            f"{self.right} of {len(self.jobs)} right"
        )


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)


def _psnr(a, b):
    error = np.mean((_pixels(a) - _pixels(b)) ** 2)
    return 10 * np.log10(255**2 / error) if error else np.inf


def parser_of(doc):
    """With the arguments that compare() takes."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=70, help="prompts that are drawn")
    return parser


def compare(args, settings, seeds=1):
    """args: of draw() and out, count; settings: Presets by name. Yields a Compared for each."""
    wanted = [entry for entry in prompts()[: args.count] for _ in range(seeds)]
    first = None
    for name, preset in settings.items():
        folder = args.out / name.replace(", ", "-").replace(" ", "-")
        jobs = jobs_of_check(folder, range(1, seeds + 1), args.count)
        draw(args, jobs, preset)
        first = first or jobs
        yield Compared(
            name,
            jobs,
            [_psnr(a.path, b.path) for a, b in zip(first, jobs)],
            sum(not faults(Image.open(job.path), entry) for job, entry in zip(jobs, wanted)),
        )
