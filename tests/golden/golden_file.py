"""Writes golden files: safetensors with sorted names, without any package."""

import json
import math
import struct

import torch

DTYPES = {
    torch.float64: ("F64", "d"),
    torch.float32: ("F32", "f"),
    torch.int64: ("I64", "q"),
    torch.int32: ("I32", "i"),
}


def write(path, metadata, tensors):
    """metadata: name -> text. tensors: name -> torch tensor, any of DTYPES."""
    header = {"__metadata__": dict(sorted(metadata.items()))}
    body = bytearray()
    # Eight-byte elements first, so that every tensor is aligned to its element.
    for name in sorted(tensors, key=lambda n: (-tensors[n].element_size(), n)):
        tensor = tensors[name].detach().contiguous()
        dtype, code = DTYPES[tensor.dtype]
        begin = len(body)
        values = tensor.reshape(-1).tolist()
        assert all(math.isfinite(v) for v in values), f"{path}: {name} is not finite"
        body += struct.pack(f"<{len(values)}{code}", *values)
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, len(body)],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(body))
