"""Numbers rounded to what weight formats can hold.

Each function takes f32 [groups, numbers of a group] and returns the same shape. The types with a K are made
as bench/block_quantizer.cpp makes them, the others as MLX and the gguf package do.
"""

import numpy as np


def _half(x):
    return x.astype(np.float16).astype(np.float32)


def _code(x, scale, least, most):
    with np.errstate(divide="ignore", invalid="ignore"):
        code = np.where(scale == 0, 0, np.rint(x / scale))
    return np.clip(code, least, most).astype(np.float32)


def _extreme(x):
    """The number of largest magnitude along the last axis, with its sign."""
    at = np.abs(x).argmax(-1)[..., None]
    return np.take_along_axis(x, at, -1)


def mlx_affine(x, bits):
    most = np.float32(2**bits - 1)
    least, largest = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    is_low = np.abs(least) > np.abs(largest)
    scale = np.maximum((largest - least) / most, np.float32(1e-7))
    scale = np.where(is_low, scale, -scale)
    edge = np.where(is_low, least, largest)
    steps = np.rint(edge / scale)
    with np.errstate(divide="ignore"):
        scale = np.where(steps != 0, edge / steps, scale)
    bias = np.where(steps != 0, edge, 0)
    return _code(x - bias, scale, 0, most) * scale + bias


def mxfp4(x):
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    largest = np.abs(x).max(-1, keepdims=True)
    exponent = np.ceil(np.log2(np.where(largest == 0, 6, largest) / np.float32(6)))
    scale = np.exp2(np.clip(exponent, -127, 127)).astype(np.float32)
    nearest = np.abs(np.abs(x / scale)[..., None] - levels).argmin(-1)
    return np.sign(x) * levels[nearest] * scale


def with_minimum(x, group, most, top):
    """Q2_K, Q4_K, Q5_K: d * scale * code - dmin * min, scales and minima up to `top`."""
    parts = x.reshape(len(x), -1, group)
    offset = np.maximum(-parts.min(-1), 0)
    step = (np.maximum(parts.max(-1), 0) + offset) / np.float32(most)
    d = _half(step.max(-1, keepdims=True) / np.float32(top))
    dmin = _half(offset.max(-1, keepdims=True) / np.float32(top))
    scale = (d * _code(step, d, 0, top))[..., None]
    minimum = (dmin * _code(offset, dmin, 0, top))[..., None]
    return (scale * _code(parts + minimum, scale, 0, most) - minimum).reshape(x.shape)


def signed(x, zero, top):
    """Q3_K, Q6_K: groups of 16, d * scale * code with signed scales of magnitude up to `top`."""
    parts = x.reshape(len(x), -1, 16)
    step = _extreme(parts)[..., 0] / np.float32(-zero)
    d = _half(_extreme(step) / np.float32(-top))
    scale = (d * _code(step, d, -top, top - 1))[..., None]
    return (scale * _code(parts, scale, -zero, zero - 1)).reshape(x.shape)


def gguf_type(name):
    """The function of a type that the gguf package can write."""
    import gguf

    kind = gguf.GGMLQuantizationType[name]
    return lambda x: gguf.dequantize(gguf.quantize(x, kind), kind)
