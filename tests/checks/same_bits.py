#!/usr/bin/env python3
"""Three training steps give the same bits at -O0, -Os and -O3, and where compilers may fuse a
multiplication with a sum. usage: same_bits.py COMPILER INCLUDE"""
import pathlib
import subprocess
import sys
import tempfile

compiler, include = sys.argv[1], sys.argv[2]
source = pathlib.Path(__file__).with_name("three_steps.cpp")
hashes = {}
levels = ["-O0", "-Os", "-O3"]
if " fma " in pathlib.Path("/proc/cpuinfo").read_text():
    levels.append("-O3 -mfma")
with tempfile.TemporaryDirectory() as folder:
    for level in levels:
        program = pathlib.Path(folder, "steps" + level.replace(" ", ""))
        subprocess.run([compiler, "-std=c++20", *level.split(), "-I" + include, str(source), "-o", str(program)],
                       check=True)
        hashes[level] = subprocess.run([str(program)], check=True, capture_output=True,
                                       text=True).stdout.strip()
for level, value in hashes.items():
    print(level, value)
sys.exit(0 if len(set(hashes.values())) == 1 and all(hashes.values()) else 1)
