#!/usr/bin/env python3
"""Writes iotsl as one header: expands every `#include "iotsl/..."`, keeps the system's.

usage: single_header.py [--output FILE] [HEADER...]
Always has iotsl/iotsl.hpp; HEADER is a path of a further one, as programs write it. `all` takes every header but those that need Eigen;
the wire needs Asio. The kernels keep their run-time dispatch: simd/foreach_target.hpp is expanded at each
place, and in it the file that IOTSL_TARGET_INCLUDE names, once per target.
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "include"
INCLUDE = re.compile(r'^\s*#\s*include\s*"(iotsl/[^"]+)"')
INCLUDE_TARGET = re.compile(r"^\s*#\s*include\s+IOTSL_TARGET_INCLUDE\b")
DEFINE_TARGET = re.compile(r'^\s*#\s*define\s+IOTSL_TARGET_INCLUDE\s+"(iotsl/[^"]+)"')
ONCE = re.compile(r"^\s*#\s*pragma\s+once\b")
OPEN, CLOSE = re.compile(r"^\s*#\s*if"), re.compile(r"^\s*#\s*endif")


class Expander:
    def __init__(self, root):
        self.root = root
        self.complete = set()  # headers whose text stands outside any #if
        self.target_file = None
        self.lines = []

    def read(self, name, user):
        path = self.root / name
        if not path.is_file():
            sys.exit(f"single_header.py: {user} includes {name}, expected in {self.root}: no such file")
        return path.read_text().splitlines()

    def header(self, name, user, inside_if):
        """`inside_if`: whether the compiler might skip this place."""
        if name in self.complete:
            return
        text = self.read(name, user)
        once = any(ONCE.match(line) for line in text)
        if not once:
            self.body(name, text, inside_if)
            return
        # Left out at one place by an #if, a header must still come at the next: hence a guard, not a
        # list of what was written already.
        guard = "IOTSL_SINGLE_" + re.sub(r"\W", "_", name).upper()
        self.lines += [f"#ifndef {guard}", f"#define {guard}"]
        if not inside_if:
            self.complete.add(name)
        self.body(name, text, inside_if)
        self.lines.append(f"#endif  // {name}")

    def body(self, name, text, inside_if):
        depth = 0
        for line in text:
            if OPEN.match(line):
                depth += 1
            elif CLOSE.match(line):
                depth -= 1
            if match := DEFINE_TARGET.match(line):
                self.target_file = match[1]
            if match := INCLUDE.match(line):
                self.header(match[1], name, inside_if or depth > 0)
            elif INCLUDE_TARGET.match(line):
                if self.target_file is None:
                    sys.exit(f"single_header.py: {name}: IOTSL_TARGET_INCLUDE is not defined before")
                self.body(self.target_file, self.read(self.target_file, name), True)
            elif not ONCE.match(line):
                self.lines.append(line)
        if depth != 0:
            sys.exit(f"single_header.py: {name}: {depth} #if without #endif")


def version(root):
    text = (root / "iotsl/config.hpp").read_text()
    return re.search(r'IOTSL_VERSION_STRING "(.*)"', text)[1]


def expand(root, names):
    if names == ["all"]:
        # An -inl.hpp is no header, and foreach_target.hpp does nothing by itself.
        names = [p.relative_to(root).as_posix() for p in sorted((root / "iotsl").rglob("*.hpp"))
                 if not p.stem.endswith("-inl") and p.stem != "foreach_target"
                 and not re.search(r"/(linalg|privacy/tight)/", p.as_posix())]
    expander = Expander(root)
    expander.lines = [f"// iotsl {version(root)} as one header, Apache-2.0. Written by cmake/single_header.py from",
                      *[f"//   {name}" for name in names], "#pragma once"]
    for name in names:
        expander.header(name, "the command line", False)
    return "\n".join(expander.lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", help="default: standard output")
    parser.add_argument("headers", nargs="*")
    options = parser.parse_args()
    names = options.headers
    if names != ["all"]:
        names = ["iotsl/iotsl.hpp", *[name for name in names if name != "iotsl/iotsl.hpp"]]
    text = expand(ROOT, names)
    if options.output:
        pathlib.Path(options.output).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
