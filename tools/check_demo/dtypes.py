"""Measures what eight bits cost: the pictures of the check's prompts beside those in bf16.

    python tools/check_demo/dtypes.py --model models/demo --out /tmp/dtypes \\
        --program build/release/bin/zimage

Prints for every setting the PSNR against the picture drawn in bf16 (median and worst) and how many
pictures show what was asked.
"""

import argparse
from pathlib import Path

from compare import compare
from draw import Preset

INT8 = ("--dtype", "int8")
SETTINGS = {
    "bf16": Preset(flags=("--dtype", "bf16")),
    "f32": Preset(flags=("--dtype", "f32")),
    "int8": Preset(flags=INT8),
    "int8, w2 kept": Preset(flags=(*INT8, "--int8-keep", "feed_forward.w2")),
    "int8, ends kept": Preset(flags=(*INT8, "--int8-keep", "layers.0,layers.3")),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=70, help="prompts that are drawn")
    args = parser.parse_args()

    for compared in compare(args, SETTINGS, args.seeds):
        print(compared, flush=True)


if __name__ == "__main__":
    main()
