"""Golden values of control maps: python tools/reference/make_control_map.py

Needs opencv-python-headless; 4.11.0 and 5.0.0 agree. tests/data/control_map/golden.safetensors
holds pictures (.source), their gray (.gray) and their edges with the thresholds 100 and 200
(.canny), 20.5 and 61 (.fine).
"""

from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "control_map"
TINY = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 9), (9, 1), (3, 3), (2, 7), (8, 3)]  # width, height


def noise(rng, width, height):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def smooth(rng, width, height):
    """Gradients of every strength and direction."""
    return cv2.resize(noise(rng, 9, 7), (width, height), interpolation=cv2.INTER_CUBIC)


def blocks(rng, width, height):
    """Steps between flat squares, on which neighbouring gradients are equal."""
    tiles = noise(rng, (width + 4) // 5, (height + 4) // 5)
    return np.ascontiguousarray(tiles.repeat(5, 0).repeat(5, 1)[:height, :width])


def shapes(width, height):
    """Edges that fade, so that hysteresis has weak ends to follow, and edges of every angle."""
    y, x = np.mgrid[0:height, 0:width]
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2
    level = np.where(disc, 40 + 4 * x, 40 + 2 * y)
    level[height - 6 : height - 3] += np.arange(width) * 2
    return np.repeat(np.clip(level, 0, 255)[..., None], 3, 2).astype(np.uint8)


def main():
    rng = np.random.default_rng(seed=1)
    sources = {f"noise_{w}x{h}": noise(rng, w, h) for w, h in TINY + [(31, 22)]}
    sources["smooth_51x40"] = smooth(rng, 51, 40)
    sources["blocks_33x47"] = blocks(rng, 33, 47)
    sources["shapes_48x39"] = shapes(48, 39)
    golden = {}
    for name, source in sources.items():
        gray = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY)
        golden[name + ".source"] = source
        golden[name + ".gray"] = gray
        golden[name + ".canny"] = cv2.Canny(gray, 100, 200)
        golden[name + ".fine"] = cv2.Canny(gray, 20.5, 61)
        print(name, *(np.count_nonzero(golden[name + end]) for end in (".canny", ".fine")))
    DATA.mkdir(exist_ok=True)
    save_file(golden, DATA / "golden.safetensors")


if __name__ == "__main__":
    main()
