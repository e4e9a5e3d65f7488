"""Three training steps give the same weights on this processor and on a Raspberry Pi's, within rounding.

usage: same_steps.py ROOT COMPILER NAME CROSS_COMPILER EMULATOR [FLAG...]
Compares three_steps.cpp as built by COMPILER and by CROSS_COMPILER (with FLAGs, run by EMULATOR): what
every parameter moved by may differ by TOLERANCE of the largest movement in its tensor. Exit code 77
(skipped) without the cross compiler or the emulator.
"""

import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
TOLERANCE = 1e-4


def steps(root, folder, compiler, emulator, flags):
    program = pathlib.Path(folder, "steps")
    source = pathlib.Path(__file__).with_name("three_steps.cpp")
    # -Wno-psabi: notes on 32-bit ARM about a compiler of long ago.
    subprocess.run([compiler, "-std=c++20", "-O1", "-Wno-psabi", *flags, f"-I{root}/include", str(source), "-o", str(program)],
                   check=True)
    out = subprocess.run([*emulator, str(program), "values"], check=True, capture_output=True, text=True).stdout
    return [(line.split()[0], [float(v) for v in line.split()[1:]]) for line in out.splitlines()]


def worst_difference(here, there):
    """(difference relative to the line's largest value, its name)"""
    worst = (0.0, "none")
    for (name, a), (other, b) in zip(here, there, strict=True):
        if name != other or len(a) != len(b):
            sys.exit(f"same_steps.py: {name} [{len(a)}] here, {other} [{len(b)}] there")
        largest = max(abs(v) for v in a)
        difference = max(abs(x - y) for x, y in zip(a, b)) / max(largest, 1e-6)
        if not difference <= worst[0]:  # a NaN counts
            worst = (difference, name)
    return worst


def main():
    root, compiler, name, cross, emulator, *flags = sys.argv[1:]
    emulator = shlex.split(emulator)
    for program in (cross, emulator[0]):
        if shutil.which(program) is None:
            print(f"no {program}: the steps on {name} are not compared")
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        here = steps(root, folder, compiler, [], [])
        there = steps(root, folder, cross, emulator, flags)
    difference, where = worst_difference(here, there)
    print(f"{name}: {len(here)} lines, largest difference {difference:.2g} of the largest movement, in {where}; "
          f"allowed {TOLERANCE:g}")
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
