#!/usr/bin/env python3
"""A step of training leaves no memory behind, whatever has compiled it: compilers have had bugs with destructors.
usage: steady_memory.py INCLUDE COMPILER [OTHER], of which the other is left out where it is not there"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

include, compilers = sys.argv[1], [sys.argv[2], *filter(shutil.which, sys.argv[3:])]
source = pathlib.Path(__file__).with_name("steady_memory.cpp")
failures = 0
with tempfile.TemporaryDirectory() as folder:
    for compiler in compilers:
        program = pathlib.Path(folder, "steps")
        subprocess.run([compiler, "-std=c++20", "-O1", "-I" + include, source, "-o", program], check=True)
        print(compiler, flush=True)
        failures += subprocess.run([program]).returncode != 0
sys.exit(failures)
