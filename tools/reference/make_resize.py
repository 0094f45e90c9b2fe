"""Golden values of Lanczos resizing: python tools/reference/make_resize.py

tests/data/resize/golden.safetensors holds for every case its source and what Pillow makes of it.
"""

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from common import DATA

# (width, height) before and after. Pillow resizes the height first when it loses more than twice
# as many pixels as the width.
SIZES = [
    ((16, 16), (16, 16)),
    ((23, 13), (41, 32)),  # up
    ((41, 32), (23, 13)),  # down
    ((40, 30), (40, 13)),  # one axis only
    ((40, 30), (13, 30)),
    ((30, 50), (21, 32)),  # height loses exactly twice as much: width first
    ((30, 50), (21, 31)),  # one more: height first
    ((20, 60), (45, 11)),  # up and down, height first
    ((60, 20), (11, 45)),  # down and up, width first
    ((60, 40), (20, 39)),
    ((1, 1), (7, 5)),
    ((1, 37), (9, 4)),
    ((37, 1), (4, 9)),
    ((2, 3), (3, 2)),
    ((33, 29), (1, 1)),
    ((33, 29), (1, 40)),
    ((33, 29), (40, 1)),
    ((5, 900), (7, 2)),
    ((900, 5), (2, 7)),
    ((1, 2), (1, 600)),
    ((3, 2), (300, 3)),
]


def noise(rng, shape):
    """Levels of every height, half of them black or white: the filter's lobes leave 0 to 255."""
    levels = rng.integers(0, 256, shape)
    extremes = rng.integers(0, 2, shape) * 255
    return np.where(rng.integers(0, 2, shape), levels, extremes).astype(np.uint8)


def main():
    rng = np.random.default_rng(seed=1)
    golden = {}
    for (width, height), to in SIZES:
        for mode, shape in (("rgb", (height, width, 3)), ("gray", (height, width))):
            source = noise(rng, shape)
            name = f"{mode}_{width}x{height}_to_{to[0]}x{to[1]}"
            golden[name + ".source"] = source
            golden[name + ".resized"] = np.array(Image.fromarray(source).resize(to, Image.LANCZOS))
    (DATA / "resize").mkdir(exist_ok=True)
    save_file(golden, DATA / "resize" / "golden.safetensors")


if __name__ == "__main__":
    main()
