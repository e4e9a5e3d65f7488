"""Compiles programs the way a newcomer does, `g++ -std=c++20 -Iinclude file.cpp`, and runs them.

usage: plain_compile.py ROOT COMPILER [--system FOLDER] [--with OBJECT] [--readme] FILE...
       plain_compile.py ROOT COMPILER --engine OBJECT FILE
With --readme FILE is a markdown file; its first block of C++ is the program. --engine compiles the file with the
engine's code to an object, --with takes that code from there instead of compiling it once more.
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


def build(root, compiler, flags, name, source, output):
    command = [compiler, "-std=c++20", f"-I{root}/include", str(source), *flags, "-o", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0 or run.stderr:
        print(f"{name}: {' '.join(command[:2])} -Iinclude: says\n{run.stderr}")
        return False
    return True


def build_and_run(root, compiler, flags, name, source, folder):
    program = pathlib.Path(folder) / "a.out"
    begin = time.monotonic()
    if not build(root, compiler, flags, name, source, program):
        return False
    built = time.monotonic()
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
    parser.add_argument("--with", dest="engine_object", help="object of the engine")
    parser.add_argument("--engine", help="where to write an object of the engine")
    options = parser.parse_args()
    if options.engine:
        flags = ["-c", "-DIOTSL_EMIT_ENGINE=1"]
        return 0 if build(options.root, options.compiler, flags, options.files[0], options.files[0], options.engine) else 1
    flags = [f"-isystem{options.system}"] if options.system else []
    if options.engine_object:
        flags += ["-DIOTSL_LINK_ENGINE=1", options.engine_object]
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
