"""Every header stands alone; then all together as a small device compiles them.

usage: headers_alone.py ROOT COMPILER [--other COMPILER] [--eigen FOLDER] [--tls] [--jobs N]
       headers_alone.py --self-test COMPILER
Without exceptions and RTTI, and with the other compiler (clang++ beside g++), all headers stand in
one translation unit: being complete does not depend on those, and alone costs half a minute each.
A unit compiles a chain of headers, each of which includes the one before it, directly or not: nothing but what a
header includes stands before it, so it is as good as alone, and half the units do (`chains`).
A header that names instances for float (IOTSL_FLOAT) makes them at the end of a chain: a template that calls what
only a layer above declares, found by its arguments' namespace, compiles until it is used. Without the folder of
Eigen's headers those that need it are left out. With --tls those of TLS are compiled with OpenSSL as well, alone and
all together by the other compiler; everything else is without.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

COMMON = ["-std=c++20", "-fsyntax-only", "-DASIO_STANDALONE", "-x", "c++"]
# Of a chain only errors count: what the compiler warns of it says of all headers together as well, and looking for it
# takes a twelfth of a chain's time.
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
MODES = {
    "with exceptions": ["-fopenmp"],
    "without exceptions and RTTI": ["-fno-exceptions", "-fno-rtti", "-DASIO_NO_EXCEPTIONS",
                                    "-DASIO_NO_TYPEID"],
    "with its instances for float": ["-fopenmp", "-DIOTSL_EMIT_ENGINE=1"],
}

TLS = "-DIOTSL_WITH_TLS=1"
NEEDS_EIGEN = re.compile(r"/(linalg|privacy/tight)/")


def compile_text(compiler, include, flags, text):
    """The compiler's complaints about a translation unit, empty if there are none."""
    command = [compiler, *COMMON, *flags, f"-I{include}", "-"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stderr or f"exit code {run.returncode}"


COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
DIRECTIVE = re.compile(r'\s*#\s*(include|if|endif|pragma once)\w*\s*(?:["<]([^">]+)[">])?')
INSTANCES = re.compile(r"^IOTSL_FLOAT\(", re.MULTILINE)


def includes(text):
    """What a header always includes, and whether all of it stands before any other code."""
    names, depth, code, first = [], 0, False, True
    for line in COMMENT.sub("", text).splitlines():
        match = DIRECTIVE.match(line)
        kind = match[1] if match else None
        if kind == "include":
            first = first and not code and depth == 0
            if depth == 0:
                names.append(match[2])
        elif kind == "if":
            depth += 1
        elif kind == "endif":
            depth -= 1
        code = code or (kind is None and line.strip() != "")
    return names, first


def chains(texts, ends):
    """The headers in as few and small units as there are: lists in which each header includes the one before it,
    directly or not. `texts` by name; those in `ends` stand at the end of their list. A header with code before
    an include, or an include under a condition, begins its list: what stands before it could hide what it lacks."""
    found = {name: includes(text) for name, text in texts.items()}
    closure = {}
    for name in texts:
        seen, open_ = set(), [name]
        while open_:
            inner = [n for n in found[open_.pop()][0] if n in texts and n not in seen]
            seen.update(inner)
            open_ += inner
        closure[name] = seen
    size = {name: sum(len(texts[n]) for n in {name, *closure[name]}) for name in texts}
    after = {name: [n for n in texts if name in closure[n] and n != name and name not in ends
                    and n not in closure[name] and found[n][1]] for name in texts}

    # Each header gets one that follows it if there is a matching; the largest first, so that the ends are small.
    before = {}

    def follow(name, tried):
        for other in after[name]:
            if other not in tried:
                tried.add(other)
                if other not in before or follow(before[other], tried):
                    before[other] = name
                    return True
        return False

    for name in sorted(texts, key=size.get, reverse=True):
        follow(name, set())
    units = []
    followed = set(before.values())
    for name in [n for n in texts if n not in followed]:
        units.append([name])
        while units[-1][0] in before:
            units[-1].insert(0, before[units[-1][0]])
    return sorted(units, key=lambda unit: -size[unit[-1]])


def check(root, compiler, other, jobs, eigen=None, tls=False):
    include = pathlib.Path(root) / "include"
    # An -inl.hpp is no header: the one of its family includes it once per SIMD target.
    headers = [p for p in sorted(include.rglob("*.hpp")) if not p.stem.endswith("-inl")]
    if not eigen:
        print("no Eigen: the headers that need it are left out")
        headers = [p for p in headers if not NEEDS_EIGEN.search(p.as_posix())]
    texts = {p.relative_to(include).as_posix(): p.read_text() for p in headers}
    lines = [f'#include "{name}"\n' for name in texts]
    ends = {name for name, text in texts.items() if INSTANCES.search(text)}
    # Twice: a header without #pragma once is caught as well, here and in the last units. Instances for float
    # are made with exceptions: such a header needs no unit without them.
    units = [(compiler, "with its instances for float" if chain[-1] in ends else "with exceptions",
              " ".join(chain), "".join(f'#include "{name}"\n' for name in chain) * 2)
             for chain in chains(texts, ends)]
    together = "".join(lines) * 2
    units.append((compiler, "without exceptions and RTTI", "all headers", together))
    with_tls = [TLS] if tls else []
    if other:
        units += [(other, "with exceptions", "all headers", together, *with_tls),
                  (other, "without exceptions and RTTI", "all headers", together)]
    if tls:
        units += [(compiler, "with exceptions", name, f'#include "{name}"\n' * 2, TLS)
                  for name in texts if "/net/tls/" in name]

    def one(unit):
        program, mode, name, text, *settings = unit
        # The second compiler may come without an OpenMP library.
        flags = [f for f in MODES[mode] if program == compiler or f != "-fopenmp"]
        flags += settings
        if name == "all headers":
            flags += WARNINGS
        if eigen:
            flags = [*flags, f"-isystem{eigen}"]
        errors = compile_text(program, include, flags, text)
        return f"{name} {mode}, {program}:\n{errors}" if errors else ""

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        failures = [text for text in pool.map(one, units) if text]
    print(*failures, sep="\n")
    print(f"{len(headers)} headers, {len(units)} compilations, {len(failures)} failed")
    return bool(headers) and not failures


def self_test(compiler):
    bad = {
        "include/a.hpp": "#pragma once\ninline std::string name();\n",
        "include/b.hpp": "struct Twice {};\n",
        "include/c.hpp": "#pragma once\ninline void raise() { throw 1; }\n",
        "include/d.hpp": "#pragma once\ninline int narrow(long v) { return v; }\n",
        "include/e.hpp": "#pragma once\ninline std::string first();\n",
        "include/f.hpp": "struct TwiceInner {};\n",
        "include/g.hpp": '#pragma once\n#include "g.hpp"\ninline std::string ring();\n',
        "include/h.hpp": "#pragma once\n#if IOTSL_EMIT_ENGINE\n#define IOTSL_FLOAT(...) template __VA_ARGS__;\n"
                         "#else\n#define IOTSL_FLOAT(...)\n#endif\nstruct Value {};\n"
                         "template <class T>\nT twice(T x) {\n  return plus(x, x);\n}\n"
                         "IOTSL_FLOAT(Value twice(Value))\n",
        # What the other header has would hide what these lack.
        "include/i.hpp": '#pragma once\ninline std::string early();\n#include "outer.hpp"\n',
        "include/j.hpp": '#pragma once\n#if 0\n#include "outer.hpp"\n#endif\ninline std::string never();\n',
        "include/k.hpp": "#pragma once\ninline std::string stranger();\n",
    }
    # Includes e and f, which so have no unit of their own.
    outer = {"e": '#pragma once\n// Text.\n\n#include "e.hpp"\n#include <string>\n',
             "f": '#pragma once\n#include "f.hpp"\n',
             **dict.fromkeys("ijk", "#pragma once\n#include <string>\n")}
    caught = []
    for name, text in bad.items():
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root) / name
            path.parent.mkdir()
            path.write_text(text)
            if path.stem in outer:
                (path.parent / "outer.hpp").write_text(outer[path.stem])
            caught.append(not check(root, compiler, None, 1))
    print(f"{len(bad)} bad headers, {sum(caught)} caught")
    return all(caught)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("arguments", nargs="+")
    parser.add_argument("--other")
    parser.add_argument("--eigen")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        ok = self_test(options.arguments[0])
    else:
        clang = options.other if options.other and shutil.which(options.other) else None
        ok = check(options.arguments[0], options.arguments[1], clang, options.jobs,
                   options.eigen, options.tls)
    sys.exit(0 if ok else 1)
