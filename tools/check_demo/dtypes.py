"""Measures what eight bits cost: the pictures of the check's prompts beside those in bf16.

    python tools/check_demo/dtypes.py --model models/demo --out /tmp/dtypes \\
        --program build/release/bin/zimage

Prints for every setting the PSNR against the picture drawn in bf16 (median and worst) and how many
pictures show what was asked.
"""

from compare import compare, parser_of
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
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()

    for compared in compare(args, SETTINGS, args.seeds):
        print(compared, flush=True)


if __name__ == "__main__":
    main()
