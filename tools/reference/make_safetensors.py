"""Writes tests/data/safetensors/reference.safetensors with the reference library.

Every dtype that the C++ reader knows, a scalar, an empty tensor, and names and metadata that need
escapes. Each tensor of shape [2, 3] holds 0, 1, 2, 3, 4, 5 (BOOL: whether that is odd).
"""

import pathlib

import torch
from safetensors.torch import save_file

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}

out = pathlib.Path(__file__).parents[2] / "tests/data/safetensors/reference.safetensors"
out.parent.mkdir(parents=True, exist_ok=True)
values = torch.arange(6).reshape(2, 3)
tensors = {name: values.to(dtype) for name, dtype in DTYPES.items()}
tensors["BOOL"] = values % 2 == 1
tensors["scalar"] = torch.tensor(1.5)
tensors["empty"] = torch.zeros(0, 3)
tensors['schön "quoted"\n名'] = torch.tensor([-2.0])
save_file(tensors, out, metadata={"format": "pt", "note": 'tab\t, quote ", ü'})
