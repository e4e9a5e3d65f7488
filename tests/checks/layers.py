"""Reads every #include line of include/iotsl and fails where a header sees what it must not.

usage: layers.py [ROOT]        ROOT is the folder that holds include/iotsl
       layers.py --self-test   shows that each kind of breach is found
"""

import pathlib
import re
import sys
import tempfile

# Each layer may include itself and what its row names (include/iotsl/README.md says why).
CHAIN = ["config", "core", "simd", "kernels", "autograd", "ops", "nn", "options", "optim"]
ALLOWED = {layer: set(CHAIN[: i + 1]) for i, layer in enumerate(CHAIN)}
ALLOWED["options"] = {"config", "core", "options"}
ALLOWED["data"] = {"config", "core", "data"}
ALLOWED["impute"] = {"config", "core", "data", "impute"}
ALLOWED["models"] = ALLOWED["nn"] | {"models"}
ALLOWED["train"] = set(CHAIN) | {"data", "train"}
ALLOWED["generators"] = set(CHAIN) | {"data", "models", "gan", "privacy", "moments", "generators"}
ALLOWED["gan"] = set(CHAIN) | {"data", "models", "privacy", "gan"}
ALLOWED["measure"] = {"config", "core", "measure"}
ALLOWED["linalg"] = {"config", "core", "linalg"}
ALLOWED["privacy"] = {"config", "core", "data", "privacy"}
ALLOWED["privacy/tight"] = ALLOWED["privacy"] | {"privacy/tight"}
# Of the engine moments needs the matrix product only.
ALLOWED["moments"] = {"config", "core", "kernels", "data", "privacy", "moments"}
ALLOWED["net"] = {"config", "core", "simd", "kernels", "options", "net"}
# TLS without sockets, keys and allow-lists on the disk, then the sockets.
ALLOWED["net/tls"] = ALLOWED["net"] | {"net/tls"}
ALLOWED["net/identity"] = ALLOWED["net/tls"] | {"net/identity"}
ALLOWED["net/channel"] = ALLOWED["net/identity"] | {"net/channel"}
ALLOWED["net/hub"] = ALLOWED["net/channel"] | {"net/hub"}
# The rooms of split/, each with the rooms it sees beside itself; all see what is no room, and the wire's
# messages. Only device/ and server/ have sockets: the state machines of protocol/ never see one.
SPLIT_ROOMS = {
    "halves": set(),
    "protocol": set(),
    "protocol/device": {"protocol"},
    "protocol/server": {"protocol"},
    "audit": set(),
    "records": {"halves", "protocol", "protocol/server"},
    "prepare": {"halves", "protocol", "protocol/device", "protocol/server", "records"},
    "device": {"halves", "protocol", "protocol/device", "records", "prepare", "sockets"},
    "server": {"halves", "protocol", "protocol/server", "records", "prepare", "sockets", "hub"},
    "simulate": {"halves", "protocol", "protocol/device", "protocol/server", "records", "prepare", "device", "server",
                 "sockets", "hub"},
}
for room, seen in SPLIT_ROOMS.items():
    ALLOWED[f"split/{room}"] = (set(CHAIN) | {"data", "impute", "models", "train", "gan", "generators",
                                              "moments", "privacy", "measure", "net",
                                              f"split/{room}"}
                                | {f"split/{r}" for r in seen - {"sockets", "hub"}}
                                | ({"net/channel", "net/identity"} if "sockets" in seen else set())
                                | ({"net/hub"} if "hub" in seen else set()))
ALLOWED["fwd"] = {"config", "core"}
ALLOWED["iotsl"] = set(CHAIN) | {"data", "models", "train", "measure", "fwd"}

# Slow to compile, or a dependency that small devices cannot carry.
FORBIDDEN_STD = {"iostream", "functional", "regex", "random", "sstream"}

# Libraries, and the only places that may include them.
LIBRARIES = [
    (re.compile(r"asio(\.hpp|/.*)"), re.compile(r"net/channel[^/]*")),
    (re.compile(r"openssl/.*"), re.compile(r"net/tls/.*")),
    (re.compile(r"omp\.h"), re.compile(r"core/threads/parallel\.hpp")),
    (re.compile(r"(unsupported/)?Eigen/.*"), re.compile(r"linalg/.*|privacy/tight/.*")),
    (re.compile(r"zlib\.h"), re.compile(r"(core|data)/.*")),
    (re.compile(r"[a-z0-9]*intrin\.h|arm_neon\.h|cpuid\.h"),
     re.compile(r"(simd|core)/.*")),
]
POSIX = re.compile(r"(sys|netinet|arpa|linux)/[a-z_0-9]+\.h|"
                   r"(unistd|fcntl|dirent|poll|signal|time|stdlib|pthread|sched|netdb)\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PRAGMA_OMP = re.compile(r'^\s*#\s*pragma\s+omp\b|_Pragma\("omp')


def layer_of(path):
    """The layer of a header, given its path below include/iotsl."""
    parts = path.split("/")
    if len(parts) == 1:
        return parts[0].removesuffix(".hpp")
    if parts[0] == "net" and parts[1].startswith("channel"):
        return "net/channel"
    room = "/".join(parts[:-1])  # a room without a row of its own sees what its layer sees
    return room if room in ALLOWED else parts[0]


def breach(path, quote, target, headers):
    """What is wrong with one include of the header `path`, or None."""
    if quote == '"':
        if not target.startswith("iotsl/"):
            return f'"{target}": write the full path "iotsl/..."'
        name = target.removeprefix("iotsl/")
        if name not in headers:
            return f'"{target}": no such header'
        if layer_of(name) not in ALLOWED.get(layer_of(path), set()):
            return f'"{target}": layer {layer_of(path)} must not know layer {layer_of(name)}'
        return None
    if target in FORBIDDEN_STD:
        return f"<{target}>: not in headers of the engine"
    if re.fullmatch(r"[a-z_0-9]+", target) or POSIX.fullmatch(target):
        return None
    for library, home in LIBRARIES:
        if library.fullmatch(target):
            return None if home.fullmatch(path) else f"<{target}>: only in {home.pattern}"
    return f"<{target}>: no library that a header may use"


def breaches(root):
    base = pathlib.Path(root) / "include" / "iotsl"
    headers = {p.relative_to(base).as_posix(): p for p in sorted(base.rglob("*.hpp"))}
    found = []
    for name, path in headers.items():
        if layer_of(name) not in ALLOWED:
            found.append(f"include/iotsl/{name}: unknown layer {layer_of(name)}")
        for number, line in enumerate(path.read_text().splitlines(), 1):
            what = None
            if match := INCLUDE.match(line):
                what = breach(name, match[1], match[2], headers)
            elif PRAGMA_OMP.match(line) and name != "core/threads/parallel.hpp":
                what = "OpenMP outside core/threads/parallel.hpp"
            if what:
                found.append(f"include/iotsl/{name}:{number}: {what}")
    return len(headers), found


def self_test():
    """One header per kind of breach; each must be reported, and the good ones must not."""
    good = {
        "config.hpp": "#include <cstdint>\n",
        "core/error.hpp": '#include "iotsl/config.hpp"\n',
        "core/threads/parallel.hpp": "#include <omp.h>\n#pragma omp parallel for\n",
        "nn/module.hpp": '#include "iotsl/core/error.hpp"\n',
        "options/method.hpp": '#include "iotsl/core/error.hpp"\n',
        "optim/sgd.hpp": '#include "iotsl/options/method.hpp"\n',
        "net/messages/frame.hpp": '#include "iotsl/core/error.hpp"\n#include "iotsl/options/method.hpp"\n',
        "net/channel.hpp": '#include <asio.hpp>\n#include "iotsl/net/messages/frame.hpp"\n',
        "net/tls/session.hpp": '#include <openssl/ssl.h>\n#include "iotsl/net/messages/frame.hpp"\n',
        "net/identity/folder.hpp": '#include "iotsl/net/tls/session.hpp"\n',
        "net/channel_stream.hpp": '#include "iotsl/net/identity/folder.hpp"\n',
        "net/hub/hub.hpp": '#include "iotsl/net/channel.hpp"\n',
        "split/server/hub.hpp": '#include "iotsl/net/hub/hub.hpp"\n',
        "linalg/eigen.hpp": "#include <Eigen/Dense>\n",
        "data/set.hpp": '#include "iotsl/core/error.hpp"\n',
        "impute/histogram.hpp": '#include "iotsl/data/set.hpp"\n',
        "optim/sgd.hpp": '#include "iotsl/nn/module.hpp"\n',
        "models/vgg.hpp": '#include "iotsl/nn/module.hpp"\n',
        "train/evaluate.hpp": '#include "iotsl/data/set.hpp"\n#include "iotsl/optim/sgd.hpp"\n',
        "gan/trainer.hpp": '#include "iotsl/data/set.hpp"\n#include "iotsl/models/vgg.hpp"\n',
        "privacy/tight/tight_accountant.hpp": "#include <unsupported/Eigen/FFT>\n",
        "moments/release.hpp": '#include "iotsl/data/set.hpp"\n',
        "split/protocol/server/turns.hpp": '#include "iotsl/split/protocol/report.hpp"\n',
        "split/protocol/report.hpp": '#include "iotsl/data/set.hpp"\n',
        "split/server/tcp.hpp": '#include "iotsl/nn/module.hpp"\n#include "iotsl/net/channel.hpp"\n',
    }
    bad = {
        "core/up.hpp": '#include "iotsl/nn/module.hpp"',
        "nn/wire.hpp": '  #  include "iotsl/net/messages/frame.hpp"',
        "options/up.hpp": '#include "iotsl/nn/module.hpp"',
        "net/engine.hpp": '#include "iotsl/nn/module.hpp"',
        "net/messages/messages.hpp": '#include "iotsl/net/channel.hpp"',
        "net/messages/codec.hpp": "#include <asio/buffer.hpp>",
        "net/tls/stream.hpp": "#include <asio.hpp>",
        "net/tls/hub.hpp": '#include "iotsl/net/channel.hpp"',
        "net/channel_up.hpp": '#include "iotsl/net/hub/hub.hpp"',
        "net/hub/asio.hpp": "#include <asio.hpp>",
        "split/device/hub.hpp": '#include "iotsl/net/hub/hub.hpp"',
        "net/identity/token.hpp": "#include <openssl/hmac.h>",
        "net/channel_tls.hpp": "#include <openssl/ssl.h>",
        "net/link/link.hpp": '#include "iotsl/net/tls/session.hpp"',
        "kernels/gemm/gemm.hpp": "#include <omp.h>",
        "kernels/pool.hpp": "#pragma omp simd",
        "ops/svd.hpp": "#include <Eigen/Core>",
        "privacy/ledger.hpp": '#include "iotsl/privacy/tight/tight_accountant.hpp"',
        "ops/print.hpp": "#include <iostream>",
        "ops/short.hpp": '#include "conv2d.hpp"',
        "ops/gone.hpp": '#include "iotsl/ops/none.hpp"',
        "data/json.hpp": "#include <nlohmann/json.hpp>",
        "data/batch.hpp": '#include "iotsl/nn/module.hpp"',
        "impute/net.hpp": '#include "iotsl/nn/module.hpp"',
        "impute/sample.hpp": '#include "iotsl/gan/trainer.hpp"',
        "moments/net.hpp": '#include "iotsl/nn/module.hpp"',
        "moments/judge.hpp": '#include "iotsl/gan/trainer.hpp"',
        "moments/tight.hpp": '#include "iotsl/privacy/tight/tight_accountant.hpp"',
        "models/fit.hpp": '#include "iotsl/optim/sgd.hpp"',
        "train/model.hpp": '#include "iotsl/models/vgg.hpp"',
        "gan/send.hpp": '#include "iotsl/net/messages/frame.hpp"',
        "split/protocol/server.hpp": '#include "iotsl/net/channel.hpp"',
        "split/halves/up.hpp": '#include "iotsl/split/server/tcp.hpp"',
        "split/protocol/device/turn.hpp": '#include "iotsl/split/protocol/server/turns.hpp"',
        "new/thing.hpp": "",
    }
    with tempfile.TemporaryDirectory() as root:
        base = pathlib.Path(root) / "include" / "iotsl"
        for name, text in {**good, **bad}.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_text(text)
        _, found = breaches(root)
    reported = {line.removeprefix("include/iotsl/").split(":")[0] for line in found}
    for name in sorted(bad.keys() - reported):
        print(f"not found: {name}: {bad[name]}")
    for name in sorted(reported & good.keys()):
        print(f"wrongly reported: {name}")
    print(f"{len(bad)} kinds of breach, {len(reported & bad.keys())} found")
    return reported == bad.keys()


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(0 if self_test() else 1)
    count, found = breaches(sys.argv[1] if len(sys.argv) > 1 else ".")
    print(*found, sep="\n")
    print(f"{count} headers, {len(found)} breaches")
    sys.exit(0 if count and not found else 1)
