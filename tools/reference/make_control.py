"""Makes tests/data/control: small control networks of each layout and diffusers' pictures with them.

Uses the snapshot of make_pipeline.py and the pictures of make_image_to_image.py. Needs torch,
transformers, diffusers==0.38.0, Pillow. Run from the repository's root:
    python tools/reference/make_control.py
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    ZImageControlNetInpaintPipeline,
    ZImageControlNetModel,
    ZImageControlNetPipeline,
    ZImagePipeline,
)
from PIL import Image
from safetensors.torch import save_file

from make_pipeline import SNAPSHOT, arguments_of, randomize

OUT = Path("tests/data/control")
PICTURES = Path("tests/data/image_to_image")

# The snapshot's transformer has three layers and one refiner block.
NETWORKS = {
    "union-1.0": dict(control_layers_places=[0], control_in_dim=16, add_control_noise_refiner=None),
    "union-2.0": dict(
        control_layers_places=[0, 1, 2],
        control_refiner_layers_places=[0],
        control_in_dim=33,
        add_control_noise_refiner="control_layers",
    ),
    "union-2.1": dict(
        control_layers_places=[0, 1, 2],
        control_refiner_layers_places=[0],
        control_in_dim=33,
        add_control_noise_refiner="control_noise_refiner",
    ),
}

CASES = [
    dict(name="one", network="union-1.0", control="scene", prompt="a red circle", steps=5, seed=42),
    dict(name="one_cfg", network="union-1.0", control="odd", prompt="a cat", negative_prompt="rain", steps=4,
         guidance=3.0, scale=1.0, seed=7),
    dict(name="two", network="union-2.0", control="odd", prompt="a fox", steps=4, schedule="literal", seed=11),
    dict(name="two_inpaint", network="union-2.0", control="scene", inpaint="odd", mask="disc", prompt="a dog",
         steps=5, scale=0.9, seed=2**33 + 5),
    dict(name="two_one", network="union-2.1", control="scene", prompt="a cat", steps=5, seed=8),
    dict(name="two_one_cfg", network="union-2.1", control="scene", prompt="a cat", steps=6, guidance=2.5,
         cfg_truncation=0.7, cfg_normalization=1.0, seed=9),
    dict(name="two_one_inpaint", network="union-2.1", control="odd", inpaint="scene", mask="ramp", prompt="a dog",
         steps=4, guidance=2.0, seed=3),
]  # fmt: skip


def build_network(options, seed):
    network = ZImageControlNetModel(
        dim=64, n_refiner_layers=1, n_heads=2, n_kv_heads=2, **options
    )
    return randomize(network, torch.Generator().manual_seed(seed), gain=0.7)


def draw(case):
    parts = ZImagePipeline.from_pretrained(SNAPSHOT, torch_dtype=torch.float32).components
    seed = list(NETWORKS).index(case["network"])
    network = build_network(NETWORKS[case["network"]], seed)
    is_inpaint = "mask" in case
    kind = ZImageControlNetInpaintPipeline if is_inpaint else ZImageControlNetPipeline
    pipe = kind(controlnet=network, **parts)
    pipe.set_progress_bar_config(disable=True)
    pictures = {}
    if is_inpaint:
        pictures = {
            "image": Image.open(PICTURES / f"{case['inpaint']}.png"),
            "mask_image": Image.open(PICTURES / f"{case['mask']}.png"),
        }
    return pipe(
        width=96,
        height=64,
        control_image=Image.open(PICTURES / f"{case['control']}.png"),
        controlnet_conditioning_scale=case.get("scale", 0.75),
        **pictures,
        **arguments_of(case),
    ).images[0]


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for seed, (name, options) in enumerate(NETWORKS.items()):
        weights = build_network(options, seed).state_dict()
        tensors = {key: value.to(torch.bfloat16).contiguous() for key, value in weights.items()}
        save_file(tensors, OUT / f"{name}.safetensors")
    for case in CASES:
        image = draw(case)
        image.save(OUT / f"{case['name']}-drawn.png", optimize=True)
        print(case["name"], image.size, np.asarray(image).std(axis=(0, 1)).round(1))
    (OUT / "cases.json").write_text(json.dumps({"cases": CASES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
