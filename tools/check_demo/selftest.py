"""The judge on rendered scenes: it has to find nothing wrong with them, and much with others."""

import random

import numpy as np
from PIL import Image

from judge import faults
from scenes import sample_scene
from shapes import render


def wanted_of(scene):
    return {
        "background": scene.background,
        "objects": [{"colour": o.colour, "kind": o.kind} for o in scene.objects],
        "horizontal": scene.horizontal,
        "vertical": scene.vertical,
        "size": scene.size,
        "relation": scene.relation,
    }


def main(count=600):
    rng = random.Random(5)
    scenes = [sample_scene(rng) for _ in range(count)]
    pixels = ((render(scenes).clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    images = [Image.fromarray(np.ascontiguousarray(p)) for p in pixels]
    right = 0
    for scene, image in zip(scenes, images):
        wrong = faults(image, wanted_of(scene))
        right += not wrong
        if wrong:
            print(scene, wrong)
    mixed_up = sum(not faults(image, wanted_of(s)) for s, image in zip(scenes[1:], images))
    print(f"{right} of {count} right, {mixed_up} of {count - 1} wrongly taken for another scene")
    assert right >= 0.97 * count and mixed_up == 0


if __name__ == "__main__":
    main()
