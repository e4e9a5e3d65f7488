#!/usr/bin/env python3
"""Writes the golden files beside this script with PyTorch (1.13 made the committed ones).

usage: make_golden.py [FOLDER]
The tests do not need PyTorch; they read the committed files. README.md describes the format.
"""

import pathlib
import sys

sys.dont_write_bytecode = True

import torch

import gan_cases
import op_cases
import train_cases


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    count = op_cases.make(folder / "ops")
    train_cases.make(folder)
    count += gan_cases.make(folder)
    files = list(folder.rglob("*.safetensors"))
    size = sum(f.stat().st_size for f in files)
    print(f"{count} operation cases, {len(files)} files, {size} bytes")


if __name__ == "__main__":
    main()
