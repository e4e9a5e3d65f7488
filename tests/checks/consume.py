"""Uses the library as other projects do, in a folder outside of the tree, and runs the result.

usage: consume.py WAY ROOT COMPILER
WAY: find_package   installed, moved to another place, found by CMake
     pkg_config     the same installation through iotsl.pc
     fetch_content  FetchContent from the sources
     single_header  the file that cmake/single_header.py writes
     two_units      two units with all headers, one from the tree and one from the single file, in one program
     mixed_units    two units with different settings: what they share does not link, what each has alone works
"""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
FLAGS = "-O0"  # the kernels are optimised nevertheless


def run(command, **options):
    """Standard output of a command; its text and the end of the test if it fails."""
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        print(f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
        sys.exit(1)
    return result.stdout


class Place:
    """A folder outside of the tree with the consumer's sources."""

    def __init__(self, folder, root, compiler):
        self.folder, self.root, self.compiler = pathlib.Path(folder), root, compiler
        self.sources = self.folder / "consumer"
        shutil.copytree(HERE / "consumer", self.sources)

    def cmake(self, source, build, *options):
        run(["cmake", "-S", source, "-B", build, "-DCMAKE_CXX_COMPILER=" + self.compiler,
             "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=" + FLAGS, *options])

    def install(self):
        """An installed iotsl, away from the prefix that it was configured for."""
        build, prefix = self.folder / "iotsl-build", self.folder / "prefix"
        self.cmake(self.root, build, "-DIOTSL_BUILD_TESTS=OFF", "-DIOTSL_BUILD_EXAMPLES=OFF",
                   "-DIOTSL_BUILD_BENCHES=OFF", f"-DCMAKE_INSTALL_PREFIX={prefix}")
        run(["cmake", "--install", build])
        shutil.rmtree(build)
        moved = self.folder / "moved"
        prefix.rename(moved)
        for path in moved.rglob("*"):
            text = path.read_text() if path.is_file() else ""
            for name in (self.root, str(prefix)):
                if name in text:
                    print(f"{path.relative_to(moved)} names the folder {name}; an installed file must not")
                    sys.exit(1)
        return moved

    def build_consumer(self, *options):
        build = self.folder / "build"
        self.cmake(self.sources, build, *options)
        run(["cmake", "--build", build, "--target", "consumer", "consumer_net"])
        return build / "consumer"

    def unit(self, source, *flags, name=None):
        """The object of one source of the consumer."""
        compiled = self.folder / f"{name or source}.o"
        run([self.compiler, "-std=c++20", FLAGS, "-c", self.sources / f"{source}.cpp",
             f"-I{self.root}/include", *flags, "-o", compiled])
        return compiled

    def compile(self, sources, *flags):
        program = self.folder / "program"
        run([self.compiler, "-std=c++20", FLAGS, "-Wall", "-Wextra", *sources, *flags, "-o", program])
        return program


def find_package(place):
    return check(place.build_consumer(f"-DCMAKE_PREFIX_PATH={place.install()}"))


def fetch_content(place):
    return check(place.build_consumer(f"-DIOTSL_SOURCE={place.root}"))


def pkg_config(place):
    if shutil.which("pkg-config") is None:
        print("no pkg-config (package pkg-config)")
        sys.exit(SKIPPED)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(place.install() / "share/pkgconfig")}
    flags = run(["pkg-config", "--cflags", "--libs", "iotsl"], env=environment).split()
    # find_package has run the kernels of these headers: here the flags are what is tried.
    run([place.compile([place.sources / "give_tensor.cpp", place.sources / "take_tensor.cpp"], *flags)])
    return True


def write_single(place, *headers):
    path = place.folder / "iotsl_single.hpp"
    run([sys.executable, pathlib.Path(place.root) / "cmake/single_header.py", "--output", path, *headers])
    if re.search(r'^\s*#\s*include\s*"iotsl/', path.read_text(), re.MULTILINE):
        print("the single header still includes headers of the tree")
        sys.exit(1)
    return path


def single_header(place):
    path = write_single(place, "iotsl/data/packed.hpp")  # a further header does not push iotsl.hpp out
    return check(place.compile([place.sources / "main.cpp", place.sources / "other.cpp"],
                               f'-DCONSUMER_HEADER="{path}"', "-fopenmp"))


def two_units(place):
    single = write_single(place, "all")
    include = pathlib.Path(place.root) / "include"
    tree = place.folder / "all.hpp"
    names = [p.relative_to(include).as_posix() for p in sorted(include.rglob("*.hpp"))
             if not re.search(r"/(linalg|privacy/tight)/", p.as_posix())]
    tree.write_text("".join(f'#include "{name}"\n' for name in names if not name.endswith("-inl.hpp")))
    # One target: the others would be the same functions in namespaces of their own, four times the time.
    objects = [place.unit(source, f'-DCONSUMER_HEADER="{header}"', "-fopenmp", "-DASIO_STANDALONE",
                          "-DIOTSL_BASELINE_ONLY")
               for source, header in (("main", tree), ("other", single))]
    return check(place.compile(objects, "-fopenmp"), one_target=True)


# One flag for each part of the ABI tag, beside OpenMP, which give_tensor.cpp has and take_tensor.cpp then has not.
OTHER_SETTINGS = {"exceptions": ["-fopenmp", "-fno-exceptions"], "threads": [],
                  "targets": ["-fopenmp", "-DIOTSL_BASELINE_ONLY"], "gzip": ["-fopenmp", "-DIOTSL_WITH_ZLIB=1"],
                  "TLS": ["-fopenmp", "-DIOTSL_WITH_TLS=1"],
                  "failpoints": ["-fopenmp", "-DIOTSL_FAILPOINTS=1"]}


def mixed_units(place):
    give = place.unit("give_tensor", "-fopenmp")

    def link_with(*flags):
        take = place.unit("take_tensor", *flags)
        return subprocess.run([place.compiler, give, take, "-fopenmp", "-o", place.folder / "program"],
                              capture_output=True, text=True, check=False)

    good = link_with("-fopenmp").returncode == 0
    print(f"a tensor between units with equal settings: {'linked' if good else 'NOT LINKED'}")
    for setting, flags in OTHER_SETTINGS.items():
        linked = link_with(*flags)
        refused = linked.returncode != 0 and "first_value" in linked.stderr
        print(f"a tensor between units with different {setting}: {'refused' if refused else 'NOT REFUSED'}")
        good = good and refused
    return good and units_apart(place)


def units_apart(place):
    """Each unit has its own reader, although both have the same names: neither gets the other's."""
    files = []
    for name, header, values in (("images", [0x803, 3, 2, 2], 12), ("labels", [0x801, 3], 3)):
        files.append(place.folder / f"{name}.gz")
        files[-1].write_bytes(gzip.compress(b"".join(n.to_bytes(4, "big") for n in header) + bytes(values)))
    zlib = place.folder / "zlib.cpp"
    zlib.write_text("#include <zlib.h>\n")
    if subprocess.run([place.compiler, "-fsyntax-only", zlib], capture_output=True, check=False).returncode != 0:
        print("no zlib (package zlib1g-dev)")
        sys.exit(SKIPPED)
    main = place.unit("mixed")
    readers = [place.unit("read_idx", "-DREAD_IDX=read_with_zlib", "-DIOTSL_WITH_ZLIB=1", name="with"),
               place.unit("read_idx", "-DREAD_IDX=read_without_zlib", name="without")]
    # Of two definitions a linker takes the first, so each unit must come first once.
    said = [run([place.compile([main, *objects], "-lz"), *files]).splitlines()
            for objects in (readers, readers[::-1])]
    print(*said[0], sep="\n")
    return all(lines[0] == "3 images" and "cannot unpack" in lines[1] for lines in said)


def check(program, one_target=False):
    """The program's own test, with the kernels chosen at run time and with the portable ones."""
    chosen = run([program]).split()[0]
    portable = run([program], env={**os.environ, "IOTSL_TARGET": "baseline"}).split()[0]
    print(f"kernels: {chosen}, asked for baseline: {portable}")
    is_best = chosen != "baseline" or "avx2" not in open("/proc/cpuinfo").read()
    return portable in ("baseline", "neon") and (one_target or is_best)


def main():
    way, root, compiler = sys.argv[1:4]
    ways = {f.__name__: f for f in (find_package, pkg_config, fetch_content, single_header, two_units,
                                   mixed_units)}
    if way not in ways:
        sys.exit(f"consume.py: {way} is no way; expected one of {', '.join(ways)}")
    with tempfile.TemporaryDirectory() as folder:
        good = ways[way](Place(folder, root, compiler))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
