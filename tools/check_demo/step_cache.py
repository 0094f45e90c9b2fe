"""Measures what the step cache costs: the pictures of the check's prompts beside those without it.

    python tools/check_demo/step_cache.py --model models/demo --out /tmp/step_cache \\
        --program build/release/bin/zimage

Prints for every setting the PSNR against the picture drawn without a cache (median and worst), how
many pictures show what was asked, and the updates at which the transformer was run.
"""

import json

import numpy as np
from PIL import Image

from compare import compare, parser_of
from draw import Preset

STEPS = 31  # 30 updates
MASKS = {"every other": "11111" + "01" * 12 + "1", "one of three": "11111" + "001" * 8 + "1"}
SETTINGS = {
    "off": Preset(STEPS),
    **{f"mask, {m}": Preset(STEPS, flags=("--step-cache-mask", MASKS[m])) for m in MASKS},
    **{
        f"easycache {t}": Preset(STEPS, flags=("--step-cache-threshold", t))
        for t in (0.05, 0.1, 0.2, 0.4)
    },
    "no cache, 19 steps": Preset(19),
    "no cache, 15 steps": Preset(15),
    "no cache, 11 steps": Preset(11),
}


def computed_updates(path):
    record = json.loads(Image.open(path).text["zimage"])
    return record.get("computed_updates", "1" * (record["steps"] - 1)).count("1")


def main():
    args = parser_of(__doc__).parse_args()

    for compared in compare(args, SETTINGS):
        updates = np.mean([computed_updates(job.path) for job in compared.jobs])
        print(f"{compared}, {updates:.1f} updates computed", flush=True)


if __name__ == "__main__":
    main()
