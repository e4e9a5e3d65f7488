"""Compiles programs the way a newcomer does, `g++ -std=c++20 -Iinclude file.cpp`, and runs them.

usage: plain_compile.py ROOT COMPILER [--system FOLDER] [--readme] FILE...
With --readme FILE is a markdown file; its first block of C++ is the program.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time


def first_block(markdown):
    match = re.search(r"^```(?:cpp|c\+\+)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return match[1] if match else None


def build_and_run(root, compiler, flags, name, source, folder):
    program = pathlib.Path(folder) / "a.out"
    command = [compiler, "-std=c++20", f"-I{root}/include", *flags, str(source), "-o", str(program)]
    begin = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    built = time.monotonic()
    if run.returncode != 0 or run.stderr:
        print(f"{name}: {' '.join(command[:2])} -Iinclude: says\n{run.stderr}")
        return False
    run = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    print(run.stdout)
    if run.returncode != 0:
        print(f"{name}: exit code {run.returncode}\n{run.stderr}")
        return False
    print(f"{name}: compiled in {built - begin:.1f} s, ran {time.monotonic() - built:.1f} s")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("compiler")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--system", help="folder with the headers of a library", default="")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    flags = [f"-isystem{options.system}"] if options.system else []
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.files:
            source = pathlib.Path(name)
            if options.readme:
                text = first_block(source.read_text())
                if text is None:
                    print(f"{name}: no block of C++")
                    return 1
                source = pathlib.Path(folder) / "readme.cpp"
                source.write_text(text)
            results.append(build_and_run(options.root, options.compiler, flags, name, source, folder))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
