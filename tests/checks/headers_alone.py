"""Every header stands alone; then all together as a small device compiles them.

usage: headers_alone.py ROOT COMPILER [--other COMPILER] [--eigen FOLDER] [--tls] [--jobs N]
       headers_alone.py --self-test COMPILER
Without exceptions and RTTI, and with the other compiler (clang++ beside g++), all headers stand in
one translation unit: being complete does not depend on those, and alone costs half a minute each.
A header whose #include is the first line of code of another header is compiled with nothing before
it where that one is compiled alone, so it needs no unit of its own. A header that names instances for
float (IOTSL_FLOAT) makes them alone as well: a template that calls what only a layer above declares,
found by its arguments' namespace, compiles until it is used. Without the folder of Eigen's headers those
that need it are left out. With --tls those of TLS are compiled with OpenSSL as well, alone and all together by
the other compiler; everything else is without.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

COMMON = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow",
          "-Werror", "-DASIO_STANDALONE", "-x", "c++"]
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


# Comments and `#pragma once`, then the first line of code: an include of ours.
FIRST = re.compile(r'(?:[ \t]*(?://[^\n]*|#pragma once)?\n)*#include "([^"]+)"')


def proven_by_others(texts):
    """The headers that some other header includes before anything else; `texts` by name. A ring of
    headers that include each other first would prove nothing, so each chain must end in a header that
    is compiled."""
    first = {}
    for name, text in texts.items():
        match = FIRST.match(text)
        if match and match[1] in texts and match[1] != name:
            first.setdefault(match[1], name)

    def ends(name):
        seen = set()
        while name in first and name not in seen:
            seen.add(name)
            name = first[name]
        return name not in first

    return {name for name in first if ends(name)}


def check(root, compiler, other, jobs, eigen=None, tls=False):
    include = pathlib.Path(root) / "include"
    # An -inl.hpp is no header: the one of its family includes it once per SIMD target.
    headers = [p for p in sorted(include.rglob("*.hpp")) if not p.stem.endswith("-inl")]
    if not eigen:
        print("no Eigen: the headers that need it are left out")
        headers = [p for p in headers if not NEEDS_EIGEN.search(p.as_posix())]
    texts = {p.relative_to(include).as_posix(): p.read_text() for p in headers}
    proven = proven_by_others(texts)
    lines = [f'#include "{name}"\n' for name in texts]
    with_instances = {name for name, text in texts.items()
                      if re.search(r"^IOTSL_FLOAT\(", text, re.MULTILINE)}
    # Twice: a header without #pragma once is caught as well, here and in the last units. Its instances
    # for float are made with exceptions: such a header needs no unit without them.
    units = [(compiler,
              "with its instances for float" if name in with_instances else "with exceptions",
              f'#include "{name}"\n', f'#include "{name}"\n' * 2)
             for name in texts if name in with_instances or name not in proven]
    together = "".join(lines) * 2
    units.append((compiler, "without exceptions and RTTI", "all headers", together))
    with_tls = [TLS] if tls else []
    if other:
        units += [(other, "with exceptions", "all headers", together, *with_tls),
                  (other, "without exceptions and RTTI", "all headers", together)]
    if tls:
        units += [(compiler, "with exceptions", f'#include "{name}"\n', f'#include "{name}"\n' * 2, TLS)
                  for name in texts if "/net/tls/" in name]

    def one(unit):
        program, mode, name, text, *settings = unit
        # The second compiler may come without an OpenMP library.
        flags = [f for f in MODES[mode] if program == compiler or f != "-fopenmp"]
        flags += settings
        if eigen:
            flags = [*flags, f"-isystem{eigen}"]
        errors = compile_text(program, include, flags, text)
        return f"{name.strip()} {mode}, {program}:\n{errors}" if errors else ""

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        failures = [text for text in pool.map(one, units) if text]
    print(*failures, sep="\n")
    print(f"{len(headers)} headers, {len(proven)} of them the first line of another, "
          f"{len(units)} compilations, {len(failures)} failed")
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
    }
    # Includes e and f first, so that they have no unit of their own.
    outer = {"e": '#pragma once\n// Text.\n\n#include "e.hpp"\n#include <string>\n',
             "f": '#pragma once\n#include "f.hpp"\n'}
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
