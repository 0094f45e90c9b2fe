"""Draws prompts that training never saw and measures the pictures.

    python tools/check_demo/check.py --model models/demo --out /tmp/check
    python tools/check_demo/check.py --model models/demo --out /tmp/check \\
        --program build/release/bin/zimage

Prints what went wrong in each picture and the score by kind of prompt; exit code 1 below --goal. No
prompt occurs in training; where prompts.json says is_new_form, no sentence built like it does either,
whatever its colours, kinds, sizes and sides.
A folder of PNGs named {number of the prompt}-{seed}.png in --out is judged as it is.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from PIL import Image

from draw import Preset, draw, jobs_of_check, prompts
from judge import faults


def groups_of(entry):
    if entry["relation"]:
        kind = "two objects"
    elif entry["horizontal"] or entry["vertical"] or entry["size"]:
        kind = "place and size"
    else:
        kind = "one object"
    form = "sentences of new forms" if entry["is_new_form"] else "sentences of known forms"
    return kind, form, "all"


def contact_sheet(jobs, columns=14):
    """One picture of every job, 96 pixels wide each."""
    tile = 96
    rows = -(-len(jobs) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * tile), "white")
    for i, job in enumerate(jobs):
        image = Image.open(job.path).convert("RGB").resize((tile - 4, tile - 4), Image.LANCZOS)
        sheet.paste(image, (i % columns * tile + 2, i // columns * tile + 2))
    return sheet


def report(jobs, seeds):
    entries = [entry for entry in prompts() for _ in range(seeds)]
    right, total = defaultdict(int), defaultdict(int)
    for entry, job in zip(entries, jobs):
        wrong = faults(Image.open(job.path), entry)
        for group in groups_of(entry):
            total[group] += 1
            right[group] += not wrong
        if wrong:
            print(f"{job.path.name} {job.prompt}: {', '.join(wrong)}")
    for group in total:
        share = right[group] / total[group]
        print(f"{group}: {right[group]} of {total[group]} right ({share:.1%})")
    return right["all"] / total["all"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--program", help="the zimage program; without it diffusers draws")
    parser.add_argument("--steps", type=int, default=Preset.steps)
    parser.add_argument("--guidance", type=float, default=Preset.guidance)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first seed")
    parser.add_argument("--goal", type=float, default=0.9)
    args = parser.parse_args()

    jobs = jobs_of_check(args.out, range(1, args.seeds + 1))
    draw(args, jobs, Preset(args.steps, args.guidance))
    if args.sheet:
        contact_sheet(jobs[:: args.seeds]).quantize(128).save(args.sheet, optimize=True)
    if report(jobs, args.seeds) < args.goal:
        raise SystemExit(f"below the goal of {args.goal:.0%}")


if __name__ == "__main__":
    main()
