"""Measures what weights of fewer bits cost: the pictures of the check's prompts beside those in bf16.

    pip install --no-deps gguf==0.19.0
    python tools/check_demo/formats.py --model models/demo --out /tmp/formats \\
        --program build/release/bin/zimage

Each format is tried in two ways. "file": what fits the format is in a file, written by `zimage quantize` or
with the gguf package; rows that are no whole groups stay in bf16. "all": every matrix of the blocks is
rounded to numbers of the format, in groups that go on from one row to the next, and stored as plain
numbers. Prints for each the share of the weights that are in the format, the PSNR against the picture drawn
in bf16 (median and worst) and how many pictures show what was asked.
"""

import json
import subprocess
from dataclasses import dataclass
from functools import partial
from typing import Callable

import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import load_file

import rounding
from compare import compare, parser_of
from draw import Preset

COMPONENTS = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


@dataclass
class Format:
    group: int
    round: Callable  # [groups, group] to the same shape
    mlx: tuple = ()  # flags of `zimage quantize`
    gguf: str = ""  # a type that the gguf package writes


def _affine(bits, group):
    flags = ("--bits", bits, "--group-size", group)
    return Format(group, partial(rounding.mlx_affine, bits=bits), mlx=flags)


def _gguf(name):
    return Format(32, rounding.gguf_type(name), gguf=name)


FORMATS = {
    "MLX 8 bits, groups of 32": _affine(8, 32),
    "MLX 4 bits, groups of 32": _affine(4, 32),
    "MLX 4 bits, groups of 64": _affine(4, 64),
    "MLX mxfp4": Format(32, rounding.mxfp4, mlx=("--bits", 4, "--group-size", 32, "--mode", "mxfp4")),
    **{f"GGUF {name}": _gguf(name) for name in ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")},
    "GGUF Q6_K": Format(256, partial(rounding.signed, zero=32, top=128)),
    "GGUF Q5_K": Format(256, partial(rounding.with_minimum, group=32, most=31, top=63)),
    "GGUF Q4_K": Format(256, partial(rounding.with_minimum, group=32, most=15, top=63)),
    "GGUF Q3_K": Format(256, partial(rounding.signed, zero=4, top=32)),
    "GGUF Q2_K": Format(256, partial(rounding.with_minimum, group=16, most=3, top=15)),
}


def weights_of(model):
    """Component -> name -> f32 array."""
    return {
        component: {
            name: tensor.float().numpy()
            for name, tensor in load_file(f"{model}/{component}/{file}").items()
        }
        for component, file in COMPONENTS.items()
    }


def is_of_block(name, values):
    """The matrices that `zimage quantize` writes in MLX's formats, as far as rows are long enough."""
    others = ("embed", "norm", "all_final_layer", "pad_token")
    return values.ndim == 2 and not any(part in name for part in others)


def shares(weights, is_in_format):
    counts = {}
    for component, tensors in weights.items():
        sizes = [(is_in_format(component, name), v.size) for name, v in tensors.items()]
        counts[component] = sum(n for chosen, n in sizes if chosen) / sum(n for _, n in sizes)
    return ", ".join(f"{share:.0%} of the {name}" for name, share in counts.items())


def mlx_files(args, weights, kind, folder):
    if not folder.exists():
        command = [args.program, "quantize", "-m", args.model, "-o", folder, "--format", "mlx", *kind.mlx]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    layers = {layer["name"] for layer in json.loads((folder / "quantization.json").read_text())["layers"]}
    chosen = lambda component, name: name.removesuffix(".weight") in layers  # noqa: E731
    return Preset(model=str(folder)), shares(weights, chosen)


def _write_gguf(path, tensors, kind):
    """Matrices with rows of whole blocks in the type, all else in bf16; returns the former's names."""
    import gguf

    plain, quantised = gguf.GGMLQuantizationType.BF16, gguf.GGMLQuantizationType[kind.gguf]
    fits = {n for n, v in tensors.items() if v.ndim == 2 and v.shape[1] % kind.group == 0}
    writer = gguf.GGUFWriter(path, "demo")
    for name, values in tensors.items():
        type_ = quantised if name in fits else plain
        writer.add_tensor(name, gguf.quantize(values, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return fits


def _replacing(folder, ending):
    return Preset(
        flags=(
            *("--transformer", folder / f"transformer.{ending}"),
            *("--text-encoder", folder / f"text_encoder.{ending}"),
        )
    )


def gguf_files(weights, kind, folder):
    folder.mkdir(parents=True, exist_ok=True)
    fits = {c: _write_gguf(folder / f"{c}.gguf", t, kind) for c, t in weights.items()}
    return _replacing(folder, "gguf"), shares(weights, lambda c, name: name in fits[c])


def rounded(weights, kind, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for component, tensors in weights.items():
        result = {}
        for name, values in tensors.items():
            if is_of_block(name, values):
                groups = values.reshape(-1, kind.group)
                values = kind.round(groups).reshape(values.shape).astype(np.float32)
            result[name] = values
        save_file(result, folder / f"{component}.safetensors")
    chosen = lambda component, name: is_of_block(name, weights[component][name])  # noqa: E731
    return _replacing(folder, "safetensors"), shares(weights, chosen)


def settings_of(args):
    """Preset and share of the weights by name."""
    weights = weights_of(args.model)
    made = {"bf16": (Preset(), "none")}
    for name, kind in FORMATS.items():
        folder = args.out / "weights" / name.replace(", ", "-").replace(" ", "-")
        if kind.mlx:
            made[f"{name}, file"] = mlx_files(args, weights, kind, folder / "file")
        if kind.gguf:
            made[f"{name}, file"] = gguf_files(weights, kind, folder / "file")
        made[f"{name}, all"] = rounded(weights, kind, folder / "all")
    return made


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    made = settings_of(args)
    presets = {name: preset for name, (preset, _) in made.items()}
    for compared in compare(args, presets, args.seeds):
        print(f"{compared}; in it: {made[compared.name][1]}", flush=True)


if __name__ == "__main__":
    main()
