"""Golden values of the VAE from diffusers: python tools/reference/make_vae.py"""

import math

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from common import DATA, save_json, uniform

CONFIGS = {
    # Z-Image's layout, narrower.
    "narrow": dict(
        block_out_channels=[16, 32, 32, 32], layers_per_block=2, norm_num_groups=8,
        latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
        use_post_quant_conv=False, mid_block_add_attention=True,
    ),
    # Two stages whose channels change by a factor of three, one and three layers, quant convolutions.
    "odd": dict(
        block_out_channels=[8, 24], layers_per_block=3, norm_num_groups=4, latent_channels=5,
        scaling_factor=0.18215, shift_factor=None, use_quant_conv=True, use_post_quant_conv=True,
        mid_block_add_attention=True,
    ),
    # One stage: a latent pixel is a pixel.
    "flat": dict(
        block_out_channels=[6], layers_per_block=1, norm_num_groups=3, latent_channels=4,
        scaling_factor=1.5, shift_factor=-0.25, use_quant_conv=True, use_post_quant_conv=False,
        mid_block_add_attention=False,
    ),
}
SIZES = [(5, 7), (8, 3), (1, 1)]  # latent pixels; the sides of the picture follow


def distribution_of(name, shape):
    """(mean, spread): norms about 1, convolutions and projections by fan-in."""
    if name.endswith(".bias"):
        return 0.0, 0.25
    if "norm" in name:
        return 1.0, 0.5
    return 0.0, 2.0 ** round(math.log2(math.sqrt(3 / math.prod(shape[1:]))))


def fill(model):
    """Gives every parameter its seeded values, rounded to bf16. Returns a description of them."""
    tensors = []
    with torch.no_grad():
        for name, parameter in model.state_dict().items():
            shape = list(parameter.shape)
            mean, spread = distribution_of(name, shape)
            parameter.copy_(uniform(name, shape, mean, spread).bfloat16().float())
            tensors.append({"name": name, "shape": shape, "mean": mean, "spread": spread})
    return tensors


def run(model, height, width):
    """Both directions at one size, as pipelines of diffusers call them."""
    config = model.config
    shift = config.shift_factor or 0.0
    latents = uniform("latents", [1, config.latent_channels, height, width], 0.0, 1.0)
    scale = 2 ** (len(config.block_out_channels) - 1)
    pixels = uniform("pixels", [1, 3, height * scale, width * scale])
    with torch.no_grad():
        distribution = model.encode(pixels).latent_dist
        return {
            "decoded": model.decode(latents / config.scaling_factor + shift).sample[0],
            "moments": distribution.parameters[0],
            "encoded": (distribution.mode()[0] - shift) * config.scaling_factor,
        }


def main():
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        stages = len(config["block_out_channels"])
        config |= dict(in_channels=3, out_channels=3,
                       down_block_types=["DownEncoderBlock2D"] * stages,
                       up_block_types=["UpDecoderBlock2D"] * stages)
        model = AutoencoderKL(**config).eval()
        tensors = fill(model)
        cases, golden = [], {}
        for height, width in SIZES:
            case = f"{height}x{width}"
            cases.append({"name": case, "height": height, "width": width})
            for key, value in run(model, height, width).items():
                golden[f"{case}.{key}"] = value.contiguous().clone()
                print(f"{name} {case} {key}: {list(value.shape)}, "
                      f"rms {value.square().mean().sqrt():.3f}")
        save_json(DATA / "vae" / f"{name}.json",
                  {"config": config, "cases": cases, "tensors": tensors})
        save_file(golden, DATA / "vae" / f"{name}.safetensors")


if __name__ == "__main__":
    main()
