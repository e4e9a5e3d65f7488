"""Time and memory that `#include "iotsl/iotsl.hpp"` costs a translation unit: under 2 s and 512 MB.
A shared or busy machine counts more processor time for the same work, so the test fails at three
times the 2 s; the figure is printed.

usage: include_cost.py ROOT COMPILER
The processor time is judged, best of three, so that a busy machine does not decide the result.
"""

import resource
import subprocess
import sys

LIMIT_SECONDS = 2.0
BUSY_FACTOR = 3
LIMIT_MB = 512


def main(root, compiler):
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([compiler, "-std=c++20", "-O2", "-c", f"-I{root}/include", "-x", "c++", "-",
                        "-o", "/dev/null"], input='#include "iotsl/iotsl.hpp"\n', text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"include iotsl.hpp: {min(seconds):.2f} s (limit {LIMIT_SECONDS}), "
          f"{megabytes:.0f} MB (limit {LIMIT_MB})")
    return min(seconds) < LIMIT_SECONDS * BUSY_FACTOR and megabytes < LIMIT_MB


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:3]) else 1)
