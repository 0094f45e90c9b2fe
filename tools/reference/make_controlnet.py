"""Golden values of the control network from diffusers: python tools/reference/make_controlnet.py"""

import torch
from diffusers import ZImageControlNetModel, ZImageTransformer2DModel
from safetensors.torch import save_file

from common import DATA, fill, save_json, uniform

TRANSFORMERS = {
    "six_layers": dict(
        in_channels=4, dim=24, n_layers=6, n_refiner_layers=2, n_heads=2, n_kv_heads=2,
        norm_eps=1e-5, qk_norm=True, cap_feat_dim=16, rope_theta=256.0, t_scale=1000.0,
        axes_dims=[4, 4, 4], axes_lens=[80, 16, 16],
    ),
    # A feed-forward width of int(20 / 3 * 8) = 53, no q/k norm, everything else unusual.
    "odd": dict(
        in_channels=3, dim=20, n_layers=9, n_refiner_layers=3, n_heads=2, n_kv_heads=2,
        norm_eps=1e-3, qk_norm=False, cap_feat_dim=9, rope_theta=10000.0, t_scale=500.0,
        axes_dims=[2, 2, 6], axes_lens=[100, 16, 16],
    ),
}

# Of what the transformer's config does not say.
CONTROL_NETS = {
    "v1_0": ("six_layers", dict(
        control_in_dim=4, add_control_noise_refiner=None, control_layers_places=[0, 3],
        control_refiner_layers_places=[],
    )),
    "v2_0": ("six_layers", dict(
        control_in_dim=9, add_control_noise_refiner="control_layers",
        control_layers_places=[0, 2, 4], control_refiner_layers_places=[0, 1],
    )),
    "v2_1": ("six_layers", dict(
        control_in_dim=9, add_control_noise_refiner="control_noise_refiner",
        control_layers_places=[0, 2, 4], control_refiner_layers_places=[0, 1],
    )),
    "lite": ("odd", dict(
        control_in_dim=7, add_control_noise_refiner="control_noise_refiner",
        control_layers_places=[0, 3, 6], control_refiner_layers_places=[0, 1, 2],
    )),
    # Not what the names of the tensors lead to.
    "places": ("six_layers", dict(
        control_in_dim=6, add_control_noise_refiner="control_noise_refiner",
        control_layers_places=[0, 1, 5], control_refiner_layers_places=[1],
    )),
}

# Latent height and width, caption tokens, time, scale of the hints. Image tokens are a quarter of
# the latent pixels.
CASES = [
    dict(name="both_padded", height=6, width=10, tokens=7, t=0.3, scale=0.75),
    dict(name="no_padding", height=8, width=16, tokens=32, t=0.0, scale=1.0),
    dict(name="caption_padded", height=16, width=8, tokens=33, t=0.85, scale=-0.5),
    dict(name="off", height=6, width=10, tokens=7, t=0.3, scale=0.0),
]
SHARED = ["dim", "n_refiner_layers", "n_heads", "n_kv_heads", "norm_eps", "qk_norm"]


def run(transformer, control_net, case):
    """The output, and the scaled hints by the layer after which they are added."""
    size = [case["height"], case["width"]]
    latents = uniform("latents", [transformer.config.in_channels, *size], 0.0, 2.0).unsqueeze(1)
    prompt = uniform("prompt_embeds", [case["tokens"], transformer.config.cap_feat_dim], 0.0, 8.0)
    context = uniform("control_context", [control_net.config.control_in_dim, *size], 0.0, 2.0)
    t = torch.tensor([case["t"]])
    with torch.no_grad():
        hints = control_net([latents], t, [prompt], [context.unsqueeze(1)],
                            conditioning_scale=case["scale"])
        sample = transformer([latents], t, [prompt], controlnet_block_samples=hints).sample[0]
    result = {"output": sample.squeeze(1)}
    if case["name"] == "off":
        for hint in hints.values():
            assert not hint.any()
    elif case["name"] != "caption_padded":  # the output alone will do
        result |= {f"hint_{layer}": hint[0] for layer, hint in hints.items()}
    return {f"{case['name']}.{key}": value.contiguous().clone() for key, value in result.items()}


def main():
    torch.set_num_threads(1)
    folder = DATA / "controlnet"
    transformers = {}
    for name, config in TRANSFORMERS.items():
        transformers[name] = ZImageTransformer2DModel(**config).eval()
        save_json(folder / f"{name}.json", {"config": config, "tensors": fill(transformers[name])})
    for name, (base, config) in CONTROL_NETS.items():
        config |= {key: TRANSFORMERS[base][key] for key in SHARED}
        control_net = ZImageControlNetModel(**config).eval()
        tensors = fill(control_net)  # before it shares those of the transformer
        save_json(folder / f"{name}.json",
                  {"transformer": base, "config": config, "cases": CASES, "tensors": tensors})
        ZImageControlNetModel.from_transformer(control_net, transformers[base])
        golden = {}
        for case in CASES:
            golden |= run(transformers[base], control_net, case)
        save_file(golden, folder / f"{name}.safetensors")
        for key, value in golden.items():
            print(f"{name} {key}: {list(value.shape)}, rms {value.square().mean().sqrt():.3f}")


if __name__ == "__main__":
    main()
