"""Makes tests/data/adapters: adapters of each kind and key style, and torch's outputs with them.

The model is three_heads of make_transformer.py. What an adapter does to its weights is written
out here in f64; diffusers' own loader draws the same where it knows the format (--diffusers, which
needs peft). Run from the repository's root:
    python tools/reference/make_adapters.py
"""

import json
import sys

import torch
from diffusers import ZImageTransformer2DModel
from safetensors.torch import save_file

from common import DATA, fill, save_json, uniform
from make_transformer import CASES, CONFIGS

OUT = DATA / "adapters"
CONFIG = CONFIGS["three_heads"]
CASE = next(case for case in CASES["three_heads"] if case["name"] == "both_padded")


def small(name, *shape):
    """Numbers of one file, the same each time; sums of two products stay below one."""
    return uniform(name, list(shape), 0.0, 0.25)


class Adapter:
    """Collects the tensors of a file and what they change."""

    def __init__(self, name, dtype=torch.float32):
        self.name, self.dtype = name, dtype
        self.tensors, self.changes, self.config = {}, [], None

    def put(self, key, tensor):
        tensor = tensor.to(self.dtype)
        self.tensors[key] = tensor.contiguous()
        return tensor.double()

    def matrix(self, key, *shape):
        return self.put(key, small(f"{self.name}.{key}", *shape))

    def alpha(self, key, value):
        self.tensors[key] = torch.tensor(float(value))

    def change(self, modules, delta=None, **more):
        self.changes.append(dict(modules=modules, delta=delta, **more))

    def lora(self, stem, modules, out, inner, rank=2, alpha=None, down="lora_A.weight", up="lora_B.weight", **more):
        a = self.matrix(f"{stem}.{down}", rank, inner)
        b = self.matrix(f"{stem}.{up}", out, rank)
        if alpha is not None:
            self.alpha(f"{stem}.alpha", alpha)
        self.change(modules, (alpha if alpha is not None else rank) / rank * (b @ a), **more)


def apply(weight, change, scale):
    """The weight that a change makes."""
    weight = weight.double()
    if change["delta"] is None:
        return weight
    changed = weight + change["delta"]
    magnitude = change.get("magnitude")
    if magnitude is not None:
        axis = 0 if magnitude.dim() == 2 and magnitude.shape[0] == 1 else 1
        norm = changed.norm(dim=axis, keepdim=True)
        changed = changed * magnitude.reshape(norm.shape) / norm
    return weight + scale * (changed - weight)


def adapted(model, adapters):
    """A copy of the model in f32 with all adapters, whose changes add up."""
    base = {name: value.double() for name, value in model.state_dict().items()}
    result = {name: value.clone() for name, value in base.items()}
    extra = {}
    for adapter, scale in adapters:
        for change in adapter.changes:
            names = [f"{module}.weight" for module in change["modules"]]
            whole = torch.cat([base[name] for name in names])
            delta = apply(whole, change, scale) - whole
            for name, part in zip(names, delta.split([base[name].shape[0] for name in names])):
                result[name] += part
            if change.get("bias") is not None:
                module = change["modules"][0]
                if f"{module}.bias" in base:
                    result[f"{module}.bias"] += scale * change["bias"]
                else:
                    extra[module] = scale * change["bias"]
            if change.get("vector") is not None:
                result[f"{change['modules'][0]}.weight"] += scale * change["vector"]
    copy = ZImageTransformer2DModel(**CONFIG).eval()
    for module, bias in extra.items():
        copy.get_submodule(module).bias = torch.nn.Parameter(bias.float())
    result |= {f"{module}.bias": bias for module, bias in extra.items()}
    copy.load_state_dict({name: value.float() for name, value in result.items()})
    return copy


def run(model):
    latents = uniform("latents", [CONFIG["in_channels"], CASE["height"], CASE["width"]], 0.0, 2.0)
    prompt = uniform("prompt_embeds", [CASE["tokens"], CONFIG["cap_feat_dim"]], 0.0, 8.0)
    with torch.no_grad():
        return model([latents.unsqueeze(1)], torch.tensor([CASE["t"]]), [prompt]).sample[0].squeeze(1).contiguous()


DIM, FFN, ADALN = 96, 256, 96
BLOCKS = [("layers", 2), ("noise_refiner", 1), ("context_refiner", 1)]


def peft():
    """PEFT's names, every kind of module that a trainer may choose, alpha by layer."""
    adapter = Adapter("peft")
    for block, count in BLOCKS:
        for i in range(count):
            stem = f"{block}.{i}"
            targets = [(f"{stem}.attention.{part}", DIM, DIM) for part in ("to_q", "to_k", "to_v", "to_out.0")]
            targets += [(f"{stem}.feed_forward.w1", FFN, DIM), (f"{stem}.feed_forward.w2", DIM, FFN)]
            if block != "context_refiner":
                targets.append((f"{stem}.adaLN_modulation.0", 4 * DIM, ADALN))
            for module, out, inner in targets[i % 2 :: 2] if block == "layers" else targets[::3]:
                adapter.lora(f"transformer.{module}", [module], out, inner, alpha=3)
    for module, out, inner in [
        ("all_x_embedder.2-1", DIM, 64),
        ("all_final_layer.2-1.linear", 64, DIM),
        ("all_final_layer.2-1.adaLN_modulation.1", DIM, ADALN),
        ("cap_embedder.1", DIM, 40),
        ("t_embedder.mlp.0", 1024, 256),
    ]:
        adapter.lora(f"transformer.{module}", [module], out, inner, rank=1)
    return adapter


def kohya():
    """Underscored names, as many tools write them for ComfyUI."""
    adapter = Adapter("kohya", torch.float16)
    names = dict(down="lora_down.weight", up="lora_up.weight")
    adapter.lora("lora_unet_layers_0_attention_qkv", [f"layers.0.attention.to_{p}" for p in "qkv"], 3 * DIM, DIM,
                 alpha=1, **names)  # fmt: skip
    adapter.lora("lora_unet_layers_1_attention_out", ["layers.1.attention.to_out.0"], DIM, DIM, **names)
    adapter.lora("lora_unet_context_refiner_0_feed_forward_w3", ["context_refiner.0.feed_forward.w3"], FFN, DIM,
                 alpha=4, **names)  # fmt: skip
    adapter.lora("lora_unet_noise_refiner_0_adaLN_modulation_0", ["noise_refiner.0.adaLN_modulation.0"], 4 * DIM,
                 ADALN, **names)  # fmt: skip
    adapter.lora("lora_unet_final_layer_linear", ["all_final_layer.2-1.linear"], 64, DIM, **names)
    return adapter


def dora():
    """Magnitudes of rows (PEFT, kohya) and of columns (LyCORIS)."""
    adapter = Adapter("dora")

    def with_magnitude(stem, modules, out, inner, key, *shape):
        magnitude = 1 + adapter.matrix(f"{stem}.{key}", *shape).abs()
        adapter.put(f"{stem}.{key}", magnitude)
        adapter.lora(stem, modules, out, inner, alpha=1, magnitude=magnitude)

    with_magnitude("base_model.model.layers.0.attention.to_q", ["layers.0.attention.to_q"], DIM, DIM,
                   "lora_magnitude_vector", DIM)  # fmt: skip
    with_magnitude("diffusion_model.layers.1.feed_forward.w1", ["layers.1.feed_forward.w1"], FFN, DIM,
                   "dora_scale", FFN, 1)  # fmt: skip
    with_magnitude("diffusion_model.layers.1.feed_forward.w2", ["layers.1.feed_forward.w2"], DIM, FFN,
                   "dora_scale", 1, FFN)  # fmt: skip
    with_magnitude("diffusion_model.layers.1.attention.qkv", [f"layers.1.attention.to_{p}" for p in "qkv"], 3 * DIM,
                   DIM, "dora_scale", 3 * DIM, 1)  # fmt: skip
    return adapter


def lokr():
    """LyCORIS' Kronecker products; alpha counts where a factor is factorised."""
    adapter = Adapter("lokr")

    def add(stem, modules, w1, w2, rank1=0, rank2=0, alpha=None):
        rank = rank2 or rank1
        parts = []
        for key, (rows, columns), inner in (("w1", w1, rank1), ("w2", w2, rank2)):
            if inner:
                a = adapter.matrix(f"{stem}.lokr_{key}_a", rows, inner)
                parts.append(a @ adapter.matrix(f"{stem}.lokr_{key}_b", inner, columns))
            else:
                parts.append(adapter.matrix(f"{stem}.lokr_{key}", rows, columns))
        if alpha is not None:
            adapter.alpha(f"{stem}.alpha", alpha)
        factor = alpha / rank if rank and alpha is not None else 1
        adapter.change(modules, factor * torch.kron(*parts))

    add("lycoris_layers_0_attention_to_q", ["layers.0.attention.to_q"], (8, 8), (12, 12), alpha=9999220736)
    add("lycoris_layers_0_feed_forward_w1", ["layers.0.feed_forward.w1"], (4, 4), (64, 24), rank2=2, alpha=1)
    add("lycoris_layers_1_feed_forward_w2", ["layers.1.feed_forward.w2"], (12, 8), (8, 32), rank1=3, rank2=3, alpha=6)
    add("diffusion_model.layers.1.attention.qkv", [f"layers.1.attention.to_{p}" for p in "qkv"], (9, 3), (32, 32))
    add("diffusion_model.noise_refiner.0.attention.qkv", [f"noise_refiner.0.attention.to_{p}" for p in "qkv"],
        (4, 4), (72, 24), rank2=1)  # fmt: skip
    return adapter


def loha():
    adapter = Adapter("loha", torch.bfloat16)
    for stem, modules, out, inner in [
        ("diffusion_model.layers.0.attention.out", ["layers.0.attention.to_out.0"], DIM, DIM),
        ("diffusion_model.layers.1.attention.qkv", [f"layers.1.attention.to_{p}" for p in "qkv"], 3 * DIM, DIM),
    ]:
        a1, b1 = adapter.matrix(f"{stem}.hada_w1_a", out, 2), adapter.matrix(f"{stem}.hada_w1_b", 2, inner)
        a2, b2 = adapter.matrix(f"{stem}.hada_w2_a", out, 2), adapter.matrix(f"{stem}.hada_w2_b", 2, inner)
        adapter.alpha(f"{stem}.alpha", 8)
        adapter.change(modules, 8 / 2 * (a1 @ b1) * (a2 @ b2))
    return adapter


def diff():
    """Whole differences, of weights, biases (also where a layer has none) and norms."""
    adapter = Adapter("diff", torch.bfloat16)
    stem = "diffusion_model.layers.0.attention.out"
    adapter.change(["layers.0.attention.to_out.0"], adapter.matrix(f"{stem}.diff", DIM, DIM),
                   bias=adapter.matrix(f"{stem}.diff_b", DIM))  # fmt: skip
    stem = "diffusion_model.x_embedder"
    adapter.change(["all_x_embedder.2-1"], bias=adapter.matrix(f"{stem}.diff_b", DIM))
    stem = "diffusion_model.layers.1.attention_norm1"
    adapter.change(["layers.1.attention_norm1"], vector=adapter.matrix(f"{stem}.diff", DIM))
    return adapter


def reference_names():
    """Other models' names for the same modules."""
    adapter = Adapter("names")
    names = dict(down="lora.down.weight", up="lora.up.weight")
    for stem, module, out, inner in [
        ("unet.transformer_blocks.0.attn.to_k", "layers.0.attention.to_k", DIM, DIM),
        ("default.layers.1.self_attn.o_proj", "layers.1.attention.to_out.0", DIM, DIM),
        ("transformer.layers.0.ff.net.2", "layers.0.feed_forward.w2", DIM, FFN),
        ("transformer.layers.1.mlp.up_proj", "layers.1.feed_forward.w3", FFN, DIM),
        ("lycoris_transformer_blocks_1_attn_to_v", "layers.1.attention.to_v", DIM, DIM),
    ]:
        adapter.lora(stem, [module], out, inner, rank=1, **names)
    return adapter


def with_diffusers(model, adapter):
    """What diffusers' loader and PEFT make of the file."""
    copy = ZImageTransformer2DModel(**CONFIG).eval()
    copy.load_state_dict(model.state_dict())
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_z_image_lora_to_diffusers as convert

    state = dict(adapter.tensors)
    if not all(name.startswith("transformer.") for name in state) or any(name.endswith(".alpha") for name in state):
        state = convert(state)
    copy.load_lora_adapter({key: value.float() for key, value in state.items()}, prefix="transformer")
    return run(copy)


def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    model = ZImageTransformer2DModel(**CONFIG).eval()
    fill(model)
    plain = run(model)
    golden, files = {}, {}
    for make in (peft, kohya, dora, lokr, loha, diff, reference_names):
        adapter = make()
        files[adapter.name] = adapter
        save_file(adapter.tensors, OUT / f"{adapter.name}.safetensors")
        for scale in (1.0, -0.5):
            golden[f"{adapter.name}.{scale}"] = run(adapted(model, [(adapter, scale)]))
    golden["all"] = run(adapted(model, [(files[name], 0.5) for name in files]))
    save_file(golden, OUT / "outputs.safetensors")
    for key, value in golden.items():
        print(f"{key}: rms {value.square().mean().sqrt():.3f}, moved by {(value - plain).norm() / plain.norm():.3f}")
    if "--diffusers" in sys.argv:
        for name in ("peft", "kohya", "dora"):
            try:
                theirs = with_diffusers(model, files[name])
                print(f"diffusers, {name}: {(theirs - golden[f'{name}.1.0']).norm() / theirs.norm():.2e}")
            except Exception as error:
                print(f"diffusers, {name}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
