"""Golden values of the transformer from diffusers: python tools/reference/make_transformer.py"""

import torch
from diffusers import ZImageTransformer2DModel
from safetensors.torch import save_file

from common import DATA, fill, save_json, uniform

CONFIGS = {
    # Three heads, few positions, a caption width of its own.
    "three_heads": dict(
        in_channels=16, dim=96, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3,
        norm_eps=1e-5, qk_norm=True, cap_feat_dim=40, rope_theta=256.0, t_scale=1000.0,
        axes_dims=[8, 12, 12], axes_lens=[80, 16, 20],
    ),
    # A feed-forward width of int(80 / 3 * 8) = 213, no q/k norm, everything else unusual.
    "odd_ffn": dict(
        in_channels=5, dim=80, n_layers=3, n_refiner_layers=2, n_heads=5, n_kv_heads=5,
        norm_eps=1e-3, qk_norm=False, cap_feat_dim=33, rope_theta=10000.0, t_scale=500.0,
        axes_dims=[4, 2, 10], axes_lens=[100, 32, 32],
    ),
    # Wider than the 256 of the time embedding.
    "wide": dict(
        in_channels=4, dim=264, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        norm_eps=1e-6, qk_norm=True, cap_feat_dim=16, rope_theta=256.0, t_scale=1000.0,
        axes_dims=[44, 40, 48], axes_lens=[80, 8, 8],
    ),
}

# Latent height and width, caption tokens, time. Image tokens are a quarter of the latent pixels.
CASES = {
    "three_heads": [
        dict(name="no_padding", height=8, width=16, tokens=32, t=0.0),
        dict(name="both_padded", height=6, width=10, tokens=7, t=0.3),
        dict(name="caption_just_over", height=12, width=20, tokens=33, t=0.7),
        dict(name="smallest", height=2, width=4, tokens=1, t=1.0),
        dict(name="largest", height=32, width=40, tokens=64, t=0.955),
    ],
    "odd_ffn": [
        dict(name="both_padded", height=10, width=6, tokens=1, t=0.1),
        dict(name="caption_padded", height=16, width=8, tokens=33, t=0.85),
    ],
    "wide": [dict(name="image_padded", height=6, width=8, tokens=32, t=0.5)],
}


def run(model, config, case):
    """The output and what the caption and the time look like on the way."""
    seen = {}
    model.context_refiner[-1].register_forward_hook(
        lambda module, args, output: seen.update(refined=output[0]))
    model.t_embedder.register_forward_hook(
        lambda module, args, output: seen.update(t_embedding=output))
    latents = uniform("latents", [config["in_channels"], case["height"], case["width"]], 0.0, 2.0)
    prompt = uniform("prompt_embeds", [case["tokens"], config["cap_feat_dim"]], 0.0, 8.0)
    with torch.no_grad():
        sample = model([latents.unsqueeze(1)], torch.tensor([case["t"]]), [prompt]).sample[0]
    seen["output"] = sample.squeeze(1)
    return {f"{case['name']}.{key}": value.contiguous().clone() for key, value in seen.items()}


def main():
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        model = ZImageTransformer2DModel(**config).eval()
        spec = {"config": config, "cases": CASES[name], "tensors": fill(model)}
        save_json(DATA / "transformer" / f"{name}.json", spec)
        golden = {}
        for case in CASES[name]:
            golden |= run(model, config, case)
        save_file(golden, DATA / "transformer" / f"{name}.safetensors")
        for key, value in golden.items():
            print(f"{name} {key}: {list(value.shape)}, rms {value.square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
