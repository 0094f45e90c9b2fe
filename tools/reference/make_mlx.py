"""Writes tests/data/mlx/ with MLX's own quantize() and dequantize() on the CPU (pip install "mlx[cpu]").

For each format the weights, words, scales and biases, and the weights that they decode to, in f32
arithmetic. The rows are awkward: zeros, one value, values below the smallest scale, all of one
sign, few large values among small ones, small values, and ties of 4-bit floats.
"""

import pathlib

import mlx.core as mx
import numpy as np

FORMATS = [("affine", bits, group) for bits in (4, 8) for group in (32, 64, 128)] + [("mxfp4", 4, 32)]

rng = np.random.default_rng(11)
weight = (rng.standard_normal((8, 256)) * 0.03).astype(np.float32)
weight[0] = 0
weight[1] = -0.25
weight[2] *= 1e-7
weight[3] = np.abs(weight[3]) + 0.01
weight[4, ::50] = 3
weight[5] = weight[6] * np.float32(2**-20)
weight[7] = np.round(weight[7] * 50) / 8

tensors = {"weight": mx.array(weight)}
for mode, bits, group in FORMATS:
    name = f"{mode}.{bits}.{group}"
    parts = mx.quantize(tensors["weight"], group, bits, mode=mode)
    for part, tensor in zip(("weight", "scales", "biases"), parts):
        tensors[f"{name}.{part}"] = tensor
    tensors[f"{name}.decoded"] = mx.dequantize(
        *parts, group_size=group, bits=bits, mode=mode, dtype=mx.float32
    )

out = pathlib.Path(__file__).parents[2] / "tests/data/mlx/formats.safetensors"
out.parent.mkdir(parents=True, exist_ok=True)
mx.save_safetensors(str(out), tensors)
print(mx.__version__, out.stat().st_size, "bytes")
