#!/usr/bin/env python3
"""Layers of a plug-in, and walks that begin in it: two shared objects with hidden visibility, each with its own copy
of what the headers hold, in one program. usage: shared_library.py COMPILER INCLUDE"""
import pathlib
import subprocess
import sys
import tempfile

compiler, include = sys.argv[1], sys.argv[2]
sources = pathlib.Path(__file__).with_name("shared_library")
with tempfile.TemporaryDirectory() as folder:
    plugin, host = pathlib.Path(folder, "plugin.so"), pathlib.Path(folder, "host")
    common = [compiler, "-std=c++20", "-O1", "-fvisibility=hidden", "-Wall", "-Wextra", "-I" + include]
    subprocess.run([*common, "-fPIC", "-shared", sources / "plugin.cpp", "-o", plugin], check=True)
    subprocess.run([*common, sources / "host.cpp", "-ldl", "-o", host], check=True)
    sys.exit(subprocess.run([host, plugin]).returncode)
