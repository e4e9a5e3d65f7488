"""What a build without exceptions does with a programming error: asks the handler, writes, aborts.

usage: error_handler.py ROOT COMPILER
"""

import pathlib
import signal
import subprocess
import sys
import tempfile

ITEM = "item: tensor [2,3] has 6 values, expected 1"
MEMORY = "out of memory: "
ABORTED = -signal.SIGABRT
# By argument of the program: exit code, and how standard output and standard error begin.
EXPECTED = {
    "none": (ABORTED, "", f"iotsl: {ITEM}\n"),
    "return": (ABORTED, f"handled: {ITEM}\n", f"iotsl: {ITEM}\n"),
    "leave": (7, f"handled: {ITEM}\n", ""),
    "memory": (7, f"handled: {MEMORY}", ""),
}


def main(root, compiler):
    source = pathlib.Path(__file__).with_suffix(".cpp")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "error_handler"
        subprocess.run([compiler, "-std=c++20", "-O0", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror",
                        f"-I{root}/include", source, "-o", program], check=True)
        for how, (code, out, err) in EXPECTED.items():
            run = subprocess.run([program, how], capture_output=True, text=True, check=False)
            as_expected = (run.returncode == code and run.stdout.startswith(out) and run.stderr.startswith(err)
                           and bool(out) == bool(run.stdout) and bool(err) == bool(run.stderr))
            print(f"{how}: exit code {run.returncode}, {run.stdout!r}, {run.stderr!r}: "
                  f"{'as expected' if as_expected else f'expected {code}, {out!r}, {err!r}'}")
            good = good and as_expected
    return good


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:3]) else 1)
