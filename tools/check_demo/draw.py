"""Draws the check's prompts into a folder of PNGs, with diffusers or with the zimage program."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROMPTS = Path(__file__).parent / "prompts.json"
SIZE = 128
AT_ONCE = 21  # pictures of one batch in diffusers


@dataclass
class Preset:
    steps: int = 13
    guidance: float = 2.0
    flags: tuple = ()  # further ones of the program
    model: str = ""  # in place of the one that all settings have


@dataclass
class Job:
    prompt: str
    seed: int
    path: Path
    negative: str = ""


def prompts():
    return json.loads(PROMPTS.read_text())


def jobs_of_check(folder, seeds, count=None):
    return [
        Job(entry["prompt"], seed, folder / f"{index:03d}-{seed}.png")
        for index, entry in enumerate(prompts()[:count])
        for seed in seeds
    ]


def with_diffusers(model, jobs, preset):
    import torch
    from diffusers import ZImagePipeline

    pipe = ZImagePipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    for start in range(0, len(jobs), AT_ONCE):
        batch = jobs[start : start + AT_ONCE]
        images = pipe(
            [job.prompt for job in batch],
            negative_prompt=[job.negative for job in batch],
            width=SIZE,
            height=SIZE,
            num_inference_steps=preset.steps,
            guidance_scale=preset.guidance,
            max_sequence_length=96,
            generator=[torch.Generator().manual_seed(job.seed) for job in batch],
        ).images
        for job, image in zip(batch, images):
            job.path.parent.mkdir(parents=True, exist_ok=True)
            image.save(job.path)


def with_program(program, model, jobs, preset):
    for job in jobs:
        job.path.parent.mkdir(parents=True, exist_ok=True)
        command = [program, "generate", "-m", model, "-p", job.prompt, "--seed", job.seed]
        command += ["-W", SIZE, "-H", SIZE, "-s", preset.steps, "-g", preset.guidance]
        if job.negative:
            command += ["--negative-prompt", job.negative]
        command += preset.flags
        command += ["-o", job.path]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{job.prompt!r}: exit code {done.returncode}: {done.stderr.strip()}")


def draw(args, jobs, preset):
    """args: of check.py; pictures that are there already are kept."""
    missing = [job for job in jobs if not job.path.exists()]
    model = preset.model or args.model
    if args.program:
        with_program(args.program, model, missing, preset)
    elif missing:
        with_diffusers(model, missing, preset)
