"""Makes tests/data/lora_pictures: adapters as diffusers and PEFT write and read them, and diffusers' pictures.

The model is the snapshot of make_pipeline.py, in f32. Every file is loaded by diffusers or PEFT
itself; nothing here knows what an adapter does. Needs peft beside make_pipeline.py's packages. Run
from the repository's root:  python tools/reference/make_lora_pictures.py
"""

import json
import shutil
import warnings
from pathlib import Path

import torch
from diffusers import ZImagePipeline
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from make_pipeline import SNAPSHOT, draw

OUT = Path("tests/data/lora_pictures")
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["w1", "w2", "w3"]
CASE = dict(prompt="a red circle", width=64, height=64, steps=4, seed=3)


def fresh():
    pipe = ZImagePipeline.from_pretrained(SNAPSHOT, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def fill(model, seed, scale=0.3):
    """Random numbers for all of an adapter, which starts without effect."""
    generator = torch.Generator().manual_seed(seed)
    marks = ("lora_", "lokr_", "hada_")
    for name, value in sorted(model.named_parameters()):
        if not any(mark in name for mark in marks):
            continue
        noise = torch.randn(value.shape, generator=generator)
        is_magnitude = "magnitude" in name
        value.data = value.data * (1 + 0.2 * noise) if is_magnitude else scale * noise


def saved_by_diffusers(name, seed, **config):
    """A file of save_lora_weights, whose alpha lies in its metadata alone."""
    pipe = fresh()
    pipe.transformer.add_adapter(LoraConfig(**config))
    fill(pipe.transformer, seed)
    from diffusers.training_utils import _collate_lora_metadata

    ZImagePipeline.save_lora_weights(
        OUT,
        get_peft_model_state_dict(pipe.transformer),
        weight_name=f"{name}.safetensors",
        **_collate_lora_metadata({"transformer": pipe.transformer}),
    )


def saved_by_peft(name, seed, config):
    """A folder of PEFT: adapter_config.json and adapter_model.safetensors."""
    model = get_peft_model(fresh().transformer, config)
    fill(model, seed)
    model.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink(missing_ok=True)


def saved_by_hand(name, seed, modules, stem, down, up, with_alpha=True):
    """Names of other programs, which diffusers knows."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: tuple(value.shape) for name, value in fresh().transformer.named_parameters()}
    tensors = {}
    for module in modules:
        rows, columns = shapes[f"{module}.weight"]
        tensors[f"{stem(module)}.{down}"] = 0.3 * torch.randn(2, columns, generator=generator)
        tensors[f"{stem(module)}.{up}"] = 0.3 * torch.randn(rows, 2, generator=generator)
        if with_alpha:
            tensors[f"{stem(module)}.alpha"] = torch.tensor(1.0)
    save_file(tensors, OUT / f"{name}.safetensors")


def with_diffusers(name, scale):
    pipe = fresh()
    pipe.load_lora_weights(OUT, weight_name=f"{name}.safetensors", adapter_name="a")
    pipe.set_adapters("a", scale)
    return pipe


def with_peft(name, _):
    from peft import PeftModel

    pipe = fresh()
    pipe.transformer = PeftModel.from_pretrained(pipe.transformer, OUT / name).base_model.model
    return pipe


def both(names, scales):
    pipe = fresh()
    for name in names:
        pipe.load_lora_weights(OUT, weight_name=f"{name}.safetensors", adapter_name=name)
    pipe.set_adapters(names, scales)
    return pipe


BLOCKS = ["layers.0", "layers.2", "noise_refiner.0", "context_refiner.0"]
DOTTED = [f"{block}.attention.{part}" for block in BLOCKS for part in ATTENTION]
PLAIN = [f"{block}.feed_forward.{part}" for block in BLOCKS[:2] for part in FEED_FORWARD]


def make_files():
    saved_by_diffusers("diffusers", 1, r=4, lora_alpha=6, target_modules=ATTENTION + FEED_FORWARD)
    saved_by_diffusers("patterns", 2, r=4, lora_alpha=2, target_modules=ATTENTION + ["layers.1.adaLN_modulation.0"],
                       rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 5})  # fmt: skip
    saved_by_diffusers("stabilized", 3, r=4, lora_alpha=3, use_rslora=True, target_modules=ATTENTION)
    saved_by_diffusers("dora", 4, r=2, lora_alpha=2, use_dora=True, target_modules=ATTENTION + FEED_FORWARD)
    saved_by_peft("peft", 5, LoraConfig(r=3, lora_alpha=6, target_modules=ATTENTION, lora_bias=True))
    saved_by_peft("peft_dora", 6, LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=FEED_FORWARD))
    saved_by_peft("peft_lokr", 7, LoKrConfig(r=2, alpha=2, target_modules=ATTENTION, decompose_factor=8))
    saved_by_peft("peft_loha", 8, LoHaConfig(r=2, alpha=2, target_modules=ATTENTION))
    saved_by_hand("comfy", 9, DOTTED, lambda m: "diffusion_model." + m.replace("to_out.0", "out"),
                  "lora_down.weight", "lora_up.weight")  # fmt: skip
    saved_by_hand("comfy_ab", 10, DOTTED + PLAIN, lambda m: "diffusion_model." + m, "lora_A.weight", "lora_B.weight")
    saved_by_hand("kohya", 11, DOTTED + PLAIN, lambda m: "lora_unet_" + m.replace(".", "_"),
                  "lora_down.weight", "lora_up.weight")  # fmt: skip
    saved_by_hand("dots", 12, DOTTED, lambda m: "default." + m.replace("to_q", "to.q"),
                  "lora.down.weight", "lora.up.weight", with_alpha=False)  # fmt: skip


CASES = [
    dict(adapters=["diffusers.safetensors"], scales=[1.0]),
    dict(adapters=["diffusers.safetensors"], scales=[-0.7]),
    dict(adapters=["patterns.safetensors"], scales=[1.0]),
    dict(adapters=["stabilized.safetensors"], scales=[0.5]),
    dict(adapters=["dora.safetensors"], scales=[1.0]),
    dict(adapters=["peft"], scales=[1.0]),
    dict(adapters=["peft_dora"], scales=[1.0]),
    dict(adapters=["peft_lokr"], scales=[1.0]),
    dict(adapters=["peft_loha"], scales=[1.0]),
    dict(adapters=["comfy.safetensors"], scales=[1.0]),
    dict(adapters=["comfy_ab.safetensors"], scales=[0.8]),
    dict(adapters=["kohya.safetensors"], scales=[1.0]),
    dict(adapters=["dots.safetensors"], scales=[1.0]),
    dict(adapters=["diffusers.safetensors", "kohya.safetensors"], scales=[0.5, -0.4]),
]


def loaded(case):
    stems = [name.removesuffix(".safetensors") for name in case["adapters"]]
    if len(stems) > 1:
        return both(stems, case["scales"])
    by = with_diffusers if case["adapters"][0].endswith(".safetensors") else with_peft
    return by(stems[0], case["scales"][0])


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    make_files()
    plain = torch.tensor(list(draw(fresh(), CASE)[0].getdata())).double()
    for i, case in enumerate(CASES):
        image = draw(loaded(case), CASE)[0]
        image.save(OUT / f"{i}.png", optimize=True)
        pixels = torch.tensor(list(image.getdata())).double()
        print(case, f"moved by {(pixels - plain).square().mean().sqrt():.1f} of 255")
    (OUT / "cases.json").write_text(json.dumps({"case": CASE, "cases": CASES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
