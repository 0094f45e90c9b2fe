"""Makes tests/data/image_to_image: diffusers' pictures of image to image and inpainting, f32.

Uses the snapshot of make_pipeline.py. Needs torch, transformers, diffusers==0.38.0, Pillow. Run from
the repository's root:  python tools/reference/make_image_to_image.py
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import ZImageImg2ImgPipeline, ZImageInpaintPipeline
from PIL import Image, ImageDraw

from make_pipeline import SNAPSHOT, arguments_of

OUT = Path("tests/data/image_to_image")

CASES = [
    dict(name="turbo", image="scene", prompt="a red circle", strength=0.6, steps=9, seed=42),
    # 100x70 pixels become 96x64.
    dict(name="resized", image="odd", prompt="a cat", strength=0.45, steps=7, guidance=3.0, seed=7),
    dict(name="literal", image="scene", prompt="a fox", strength=0.7, steps=5, schedule="literal", seed=11),
    dict(name="full", image="scene", prompt="", strength=1.0, steps=4, seed=2**33 + 5),
    dict(name="inpaint", image="scene", mask="disc", prompt="a dog", strength=1.0, steps=6, seed=8),
    # A mask of another size than the picture, with grey in it.
    dict(name="inpaint_cfg", image="odd", mask="ramp", prompt="a cat", negative_prompt="rain",
         strength=0.8, steps=7, guidance=2.5, cfg_truncation=0.8, cfg_normalization=1.0, seed=9),
    dict(name="inpaint_literal", image="scene", mask="disc", prompt="a dog", strength=0.5, steps=6,
         schedule="literal", seed=3),
    dict(name="inpaint_all", image="scene", mask="white", prompt="a dog", strength=1.0, steps=3, seed=4),
]  # fmt: skip


def scene(width, height):
    """Gradients with two shapes: smooth parts and edges."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([255 * x / width, 255 * y / height, 128 + 60 * np.sin(x / 5)], axis=-1)
    image = Image.fromarray(rgb.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width * 0.5, height * 0.2, width * 0.8, height * 0.7], fill=(220, 40, 40))
    draw.rectangle([width * 0.1, height * 0.5, width * 0.35, height * 0.9], fill=(250, 250, 250))
    return image


def inputs():
    disc = Image.new("L", (96, 64))
    ImageDraw.Draw(disc).ellipse([30, 14, 71, 55], fill=255)
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 61).astype(np.uint8), (47, 1)))
    return {
        "scene": scene(96, 64),
        "odd": scene(100, 70),
        "disc": disc,
        "ramp": ramp,
        "white": Image.new("L", (96, 64), 255),
    }


def draw(case, pictures):
    is_inpaint = "mask" in case
    kind = ZImageInpaintPipeline if is_inpaint else ZImageImg2ImgPipeline
    pipe = kind.from_pretrained(SNAPSHOT, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    masks = {"mask_image": pictures[case["mask"]]} if is_inpaint else {}
    return pipe(
        image=pictures[case["image"]], strength=case["strength"], **masks, **arguments_of(case)
    ).images[0]


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    pictures = inputs()
    for name, picture in pictures.items():
        picture.save(OUT / f"{name}.png", optimize=True)
    for case in CASES:
        image = draw(case, pictures)
        image.save(OUT / f"{case['name']}-drawn.png", optimize=True)
        print(case["name"], image.size, np.asarray(image).std(axis=(0, 1)).round(1))
    (OUT / "cases.json").write_text(json.dumps({"cases": CASES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
