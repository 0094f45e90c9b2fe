"""Makes tests/data/pipeline: a tiny random snapshot in the published layout and diffusers' pictures.

Needs torch, transformers, tokenizers and diffusers==0.38.0 (the terminal schedule). Run from the
repository's root:  python tools/reference/make_pipeline.py
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

OUT = Path("tests/data/pipeline")
SNAPSHOT = OUT / "snapshot"

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Qwen3's template for one user turn with thinking enabled.
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content"
    " + '<|im_end|>' + '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
TEXT = [
    "user\n a red circle on a blue background, a photo of a cat in the rain\nassistant\n",
    "the quick brown fox jumps over the lazy dog 0123456789 一只猫 在 雨中 été naïve",
]

CASES = [
    dict(name="turbo", prompt="a red circle", width=96, height=64, steps=9, seed=42),
    dict(name="tall", prompt="一只猫 in the rain", width=64, height=112, steps=4, seed=2**33 + 5),
    dict(name="cfg", prompt="a cat", width=80, height=64, steps=5, guidance=4.0, seed=7),
    dict(
        name="negative",
        prompt="a photo of a lazy dog, over the quick brown fox, in the rain, on a blue background",
        negative_prompt="rain",
        width=64,
        height=80,
        steps=6,
        guidance=2.5,
        seed=8,
    ),
    dict(name="truncation", prompt="a cat", width=80, height=64, steps=7, guidance=3.0, cfg_truncation=0.4, seed=9),
    dict(name="normalization", prompt="a dog", width=64, height=64, steps=5, guidance=6.0, cfg_normalization=1.0, seed=10),
    dict(name="factor", prompt="a dog", width=64, height=64, steps=5, guidance=6.0, cfg_normalization=0.7, seed=10),
    dict(name="literal", prompt="a fox", width=96, height=64, steps=4, schedule="literal", seed=11),
    dict(name="pair", prompt="a fox", width=64, height=64, steps=3, seed=12, num_images=2),
    dict(name="empty", prompt="", width=64, height=64, steps=1, seed=0),
]


def make_tokenizer(folder: Path):
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "model_max_length": 131072,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return tokenizer


def randomize(module, generator, gain=1.0):
    """Weights ~ N(0, gain^2 / fan_in), norms around 1, biases and pad tokens non-zero; all bf16 values."""
    for name, p in module.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        is_norm = "norm" in name or name == "cap_embedder.0.weight"
        if p.ndim >= 2 and "pad_token" not in name:
            value = noise * gain / (p[0].numel() ** 0.5)
        elif is_norm and name.endswith("weight"):
            value = 1 + 0.2 * noise
        else:
            value = 0.1 * noise
        p.data = value.to(torch.bfloat16).float()
    return module.eval()


def build():
    g = torch.Generator().manual_seed(1)
    shutil.rmtree(SNAPSHOT, ignore_errors=True)
    make_tokenizer(SNAPSHOT / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(SNAPSHOT / "tokenizer")
    text_encoder = randomize(
        Qwen3Model(
            Qwen3Config(
                vocab_size=320,
                hidden_size=48,
                intermediate_size=80,
                num_hidden_layers=3,
                num_attention_heads=4,
                num_key_value_heads=2,
                head_dim=16,
                max_position_embeddings=1024,
                rope_theta=1e6,
            )
        ),
        g,
    )
    transformer = randomize(
        ZImageTransformer2DModel(
            in_channels=16,
            dim=64,
            n_layers=3,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=48,
            axes_dims=[8, 12, 12],
            axes_lens=[576, 64, 64],
        ),
        g,
    )
    vae = randomize(
        AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[8, 16, 16, 16],
            layers_per_block=1,
            latent_channels=16,
            norm_num_groups=4,
            sample_size=64,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        g,
    )
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)
    return ZImagePipeline(
        scheduler=scheduler, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer
    )


def save(pipe):
    pipe.to(torch.bfloat16).save_pretrained(SNAPSHOT)
    # Two shards with an index, as the published transformer has.
    folder = SNAPSHOT / "transformer"
    tensors = {k: v.contiguous() for k, v in pipe.transformer.state_dict().items()}
    names = sorted(tensors)
    shards = [names[: len(names) // 2], names[len(names) // 2 :]]
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"diffusion_pytorch_model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file({n: tensors[n] for n in shard}, folder / file)
        weight_map |= {n: file for n in shard}
    size = sum(t.nbytes for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def arguments_of(case):
    """What a case says to every pipeline of diffusers, whatever it draws from."""
    steps = case["steps"]
    count = case.get("num_images", 1)
    is_literal = case.get("schedule") == "literal"
    return dict(
        prompt=case["prompt"],
        negative_prompt=case.get("negative_prompt"),
        num_inference_steps=steps,
        sigmas=np.linspace(1.0, 1 / steps, steps).tolist() if is_literal else None,
        guidance_scale=case.get("guidance", 0.0),
        cfg_normalization=case.get("cfg_normalization", False),
        cfg_truncation=case.get("cfg_truncation", 1.0),
        num_images_per_prompt=count,
        generator=[torch.Generator().manual_seed(case["seed"] + i) for i in range(count)],
        max_sequence_length=512,
    )


def draw(pipe, case):
    return pipe(width=case["width"], height=case["height"], **arguments_of(case)).images


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    save(build())
    for dtype, suffix in ((torch.float32, ""), (torch.bfloat16, "-bf16")):
        pipe = ZImagePipeline.from_pretrained(SNAPSHOT, torch_dtype=dtype)
        pipe.set_progress_bar_config(disable=True)
        for case in CASES:
            for i, image in enumerate(draw(pipe, case)):
                image.save(OUT / f"{case['name']}-{i}{suffix}.png", optimize=True)
                a = np.asarray(image).astype(float)
                print(case["name"], suffix, a.mean(axis=(0, 1)).round(1), a.std(axis=(0, 1)).round(1), (a == 0).mean().round(3), (a == 255).mean().round(3))
    (OUT / "cases.json").write_text(json.dumps({"cases": CASES}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
