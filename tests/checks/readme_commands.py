"""Runs the commands of examples/README.md word by word: a network namespace for each host that they name.

usage: readme_commands.py ROOT IOTSL DEVICE [--log FILE]

A block of shell commands begins with a comment that says where it is typed: `# on the computer`, `# on pi-01`;
`in a terminal of its own`: it goes on while others run. Blocks without one run on the computer. The computer has the address that the README gives it, the boards are in
the same network. What a test machine should not do (apt-get, building, downloading, scp) is done by stand-ins that
check their arguments; the data are a few images made here, and what takes minutes is made shorter (SHORTER).
Exits with 77, and says why, where the rights for namespaces are missing.
"""

import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

# What is typed, and what is run in its place so that the test takes seconds.
SHORTER = [
    ("--gan-preset fast", "--gan-preset tiny --gan-iterations 2"),
    ("--width 32", "--width 4"),
    ("--width 16", "--width 4"),
    ("--limit-train 5000", "--limit-train 200"),
    ("--rounds 3", "--rounds 1"),
]
BOARDS = [f"pi-0{i}" for i in range(1, 6)]
INSIDE = "IOTSL_README_COMMANDS_INSIDE"


def skip(why):
    print(f"[skipped] the commands of the READMEs: {why}")
    sys.exit(77)


def blocks_of(readme):
    """(section, host, commands) of every block of shell commands."""
    out, section = [], ""
    for part in re.finditer(r"^## ([^\n]+)$|^```sh\n(.*?)^```$", readme, re.M | re.S):
        if part[1]:
            section = part[1]
            continue
        first = part[2].split("\n", 1)[0]
        named = re.match(r"# on (the computer|pi-\d+)", first)
        host = named[1].replace("the ", "") if named else "computer"
        out.append((section, host, part[2]))
    return out


def write_idx(path, extents, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">HBB{len(extents)}I", 0, 8, len(extents), *extents)
    path.write_bytes(head + bytes(values))


def write_png(path, side, shade):
    rows = b"".join(b"\0" + bytes(shade + (x * y) % 40 for x in range(side) for _ in range(3)) for y in range(side))
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(folder):
    """A small set in the files of MNIST, and a folder of pictures."""
    draw = random.Random(1)
    for part, each in (("train", 40), ("t10k", 4)):
        labels = [c for c in range(10) for _ in range(each)]
        pixels = [draw.randrange(40) + 20 * c for c in labels for _ in range(28 * 28)]
        write_idx(folder / f"data/mnist/{part}-images-idx3-ubyte", (len(labels), 28, 28), pixels)
        write_idx(folder / f"data/mnist/{part}-labels-idx1-ubyte", (len(labels),), labels)
    for c, name in enumerate(("cats", "dogs")):
        for i in range(30):
            write_png(folder / f"photos/{name}/{i}.png", 64, 20 + 90 * c + i)
    write_png(folder / "new.jpg", 64, 30)


# Stand-ins. Of what they are given they check what can be checked here.
STAND_INS = {
    "sudo": """[ "$1" = apt-get ] || exec "$@"
case " $* " in *" cmake "*) ;; *) exit 0 ;; esac  # what the computer builds with: all of it
. "$SOURCE/cmake/packages.sh"
for package in "${build_packages[@]}"; do
  case " $* " in *" $package "*) ;; *) echo "apt-get lacks $package" >&2; exit 1 ;; esac
done""",
    "install": 'cp "$1" "$HOST/bin/"',
    "cmake": """case "$*" in
  *--preset*) preset=$(echo "$*" | sed 's/.*--preset \\([a-z0-9]*\\).*/\\1/')
    grep -q "\\"name\\": \\"$preset\\", \\"configurePreset\\"" "$SOURCE/CMakePresets.json" ;;
  *) exit 1 ;;
esac""",
    "sh": '[ "$1" = data/fetch.sh ] && { test -f "$SOURCE/$1"; exit; }\nexec /bin/sh "$@"',
    "bash": '[ "$1" = cmake/fetch_openssl.sh ] && { test -f "$SOURCE/$1"; exit; }\nexec /bin/bash "$@"',
    "gunzip": "exit 0",
    "scp": """[ "$1" = -r ] && shift
last=${!#}; target=$HOSTS/${last%%:*}/${last#*:}
test -d "$HOSTS/${last%%:*}" || { echo "no host ${last%%:*}" >&2; exit 1; }
while [ $# -gt 1 ]; do cp -r "$1" "$target" || exit 1; shift; done""",
}


class Network:
    """The computer and the boards, each a namespace and a folder, on one bridge."""

    def __init__(self, folder, root, iotsl, device, address):
        self.folder, self.root = folder, root
        run = lambda *words: subprocess.run(words, check=True)
        run("mount", "-t", "tmpfs", "none", "/run")
        run("ip", "link", "add", "lan", "type", "bridge")
        run("ip", "link", "set", "lan", "up")
        net = address.rsplit(".", 1)[0]
        for i, host in enumerate(["computer"] + BOARDS):
            own = address if i == 0 else f"{net}.{100 + i}"
            run("ip", "netns", "add", host)
            run("ip", "link", "add", f"to-{host}", "type", "veth", "peer", "name", "eth0", "netns", host)
            run("ip", "link", "set", f"to-{host}", "master", "lan", "up")
            run("ip", "-n", host, "addr", "add", f"{own}/24", "dev", "eth0")
            run("ip", "-n", host, "link", "set", "eth0", "up")
            run("ip", "-n", host, "link", "set", "lo", "up")
            stands = folder / host / "bin"
            stands.mkdir(parents=True)
            for name, text in STAND_INS.items():
                (stands / name).write_text("#!/bin/bash\n" + text + "\n")
                (stands / name).chmod(0o755)
        computer = folder / "computer"
        for preset, program, made in (("release", "iotsl", iotsl), ("release", "iotsl-device", device),
                                      ("aarch64", "iotsl-device", device)):
            target = computer / "build" / preset / program
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(made)
        (computer / "bin/iotsl").symlink_to(iotsl)
        (computer / "bin/iotsl-device").symlink_to(device)
        make_data(computer)
        self.started = []

    def start(self, host, commands):
        folder = self.folder / host
        environment = dict(os.environ, HOST=str(folder), HOSTS=str(self.folder), SOURCE=str(self.root),
                           PATH=f"{folder}/bin:{os.environ['PATH']}", OMP_WAIT_POLICY="passive",
                           OMP_NUM_THREADS="1")
        environment.pop("IOTSL_DATA", None)
        out = tempfile.TemporaryFile("w+")
        process = subprocess.Popen(["ip", "netns", "exec", host, "bash", "-e", "-o", "pipefail", "-c", commands],
                                   cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        self.started.append(process)
        return process, out

    def stop(self):
        """Ends what a failure has left running."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def text_of(out):
    out.seek(0)
    return out.read()


def shorter(commands):
    for typed, run in SHORTER:
        commands = commands.replace(typed, run)
    return commands


class Tutorial:
    def __init__(self, network, log):
        self.network, self.log = network, log
        self.server, self.boards = None, {}

    def say(self, text):
        print(text, file=self.log, flush=True)

    def run(self, host, commands, limit=120):
        self.say(f"--- {host}\n{commands.rstrip()}")
        process, out = self.network.start(host, shorter(commands))
        code = process.wait(limit)
        self.say(text_of(out).rstrip())
        assert code == 0, f"on {host}: exit code {code}\n{commands}\n{text_of(out)}"

    def serve(self, commands):
        self.say(f"--- computer, goes on\n{commands.rstrip()}")
        self.server = self.network.start("computer", shorter(commands))
        end = time.monotonic() + 60
        while "start a device with" not in text_of(self.server[1]):
            assert self.server[0].poll() is None and time.monotonic() < end, text_of(self.server[1])
            time.sleep(0.1)
        time.sleep(0.2)

    def hint(self):
        """The command that the server has printed, as one line."""
        text = text_of(self.server[1])
        found = re.search(r"^ +(iotsl-device run(?:.*\\\n)*.*)$", text, re.M)
        assert found, f"no command for a device in\n{text}"
        return re.sub(r"\\\n\s*", "", found[1])

    def join(self, commands):
        """The first board as the README says, the others as the server has printed."""
        hint = self.hint()
        typed = re.search(r"iotsl-device run(?:.*\\\n)*.*", commands)[0]
        assert sorted(re.sub(r"\\\n\s*", "", typed).split()) == sorted(hint.split()), (
            f"the README says\n{typed}\nthe server\n{hint}")
        setup = commands.replace(typed, "")
        for i, board in enumerate(BOARDS):
            own = hint.replace("--name pi-01", f"--name {board}").replace("--index 0", f"--index {i}")
            line = commands if i == 0 else setup.replace(BOARDS[0], board) + own
            self.say(f"--- {board}, goes on\n{line.rstrip()}")
            self.boards[board] = self.network.start(board, line)
        for host, (process, out) in [*self.boards.items(), ("computer", self.server)]:
            code = process.wait(120)
            self.say(f"--- {host} ended with {code}\n{text_of(out).rstrip()}")
            assert code == 0, f"{host}: exit code {code}\n{text_of(out)}"
        said = text_of(self.server[1])
        for board in BOARDS:
            assert f"devices have joined: {board}" in said, f"{board} is not named in\n{said}"
        self.server, self.boards = None, {}


def main(root, iotsl, device, log):
    readme = (root / "examples/README.md").read_text()
    blocks = blocks_of(readme)
    address = re.search(r"the computer is (\d+\.\d+\.\d+\.\d+)", readme)[1]
    with tempfile.TemporaryDirectory() as folder:
        network = Network(pathlib.Path(folder), root, iotsl, device, address)
        tutorial = Tutorial(network, log)
        try:
            for section, host, commands in blocks:
                tutorial.say(f"\n===== {section}")
                if host != "computer":
                    tutorial.join(commands)
                elif "terminal of its own" in commands.split("\n", 1)[0]:
                    tutorial.serve(commands)
                else:
                    tutorial.run(host, commands)
        finally:
            network.stop()
        print(f"{len(blocks)} blocks of commands ran on {1 + len(BOARDS)} hosts")


if __name__ == "__main__":
    words = sys.argv[1:]
    log_path = words[words.index("--log") + 1] if "--log" in words else os.devnull
    root, iotsl, device = (pathlib.Path(word).resolve() for word in words[:3])
    if os.environ.get(INSIDE) is None:
        rights = ["--net", "--mount"] + ([] if os.getuid() == 0 else ["--user", "--map-root-user"])
        try:
            probe = subprocess.run(["unshare", *rights, "sh", "-c", "mount -t tmpfs none /run && ip netns add x"],
                                   capture_output=True, text=True)
        except FileNotFoundError as missing:
            skip(f"no program {missing.filename}")
        if probe.returncode != 0:
            skip(f"network namespaces cannot be made here: {probe.stderr.strip()}")
        done = subprocess.run(["unshare", *rights, sys.executable, __file__, *words], env=dict(os.environ, **{INSIDE: "1"}))
        sys.exit(done.returncode)
    with open(log_path, "w", encoding="utf-8") as log:
        main(root, iotsl, device, log)
