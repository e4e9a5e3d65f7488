"""Weights from `iotsl` to PyTorch and back: the same names, shapes and logits.

usage: pytorch_round_trip.py PROGRAM FOLDER     PROGRAM is iotsl, FOLDER takes the files

The module tree is torchvision's (features.0, classifier.0, ...); torchvision itself is not needed,
and safetensors is written and read by hand. Prints a line per case; exit code 1 on a difference.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
from collections import OrderedDict

import torch
from torch import nn

TOLERANCE = 1e-5
RELATIVE = 1e-4  # of the largest logit: new networks have small ones
PLAN = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]


def vgg_features(width, channels, pools):
    layers = []
    pools = list(pools)
    for planned in PLAN:
        if planned == 0:
            if pools:
                layers.append(pools.pop(0))
            continue
        out = max(1, planned * width // 64)
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers), channels


class Net(nn.Module):
    """features, then classifier; `average` puts a global average pool between them."""

    def __init__(self, features, classifier, average=False):
        super().__init__()
        self.features = features
        self.classifier = classifier
        self.average = average

    def forward(self, x):
        x = self.features(x)
        x = x.mean((2, 3)) if self.average else x.flatten(1)
        return self.classifier(x)


def build(name, width, channels, height, columns, classes):
    probe = torch.zeros(1, channels, height, columns)
    if name == "vanilla5":
        layers = []
        for i, planned in enumerate([32, 64, 128, 128, 128]):
            out = max(1, planned * width // 64)
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            if i < 2:
                layers.append(nn.MaxPool2d(2))
            channels = out
        return Net(nn.Sequential(*layers), nn.Linear(channels, classes), average=True)
    halve = lambda: nn.MaxPool2d(2)
    keep = lambda: nn.MaxPool2d(3, stride=1, padding=1)
    if name == "vgg16bn-compact":
        features, _ = vgg_features(width, channels, [halve() for _ in range(4)])
        inputs = features.eval()(probe).flatten(1).shape[1]
        return Net(features, nn.Linear(inputs, classes))
    features, _ = vgg_features(width, channels, [halve(), keep(), keep(), keep(), halve()])
    inputs = features.eval()(probe).flatten(1).shape[1]
    hidden = max(1, 4096 * width // 64)
    return Net(features, nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, classes)))


DTYPES = {"F32": torch.float32, "I64": torch.int64}


def load(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    state = OrderedDict()
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = bytearray(data[8 + size + begin:8 + size + end])
        state[name] = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return state, metadata


def save(path, state):
    header, blobs, begin = {"__metadata__": {"format": "pt"}}, [], 0
    # Eight-byte counters first, so that every tensor is aligned.
    for name, tensor in sorted(state.items(), key=lambda item: -item[1].element_size()):
        raw = tensor.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape),
                        "data_offsets": [begin, begin + len(raw)]}
        blobs.append(raw)
        begin += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}\nexit code {done.returncode}: {done.stderr}")
    return done.stdout


def write_image(path, channels, height, columns, seed):
    """Random bytes as PGM or PPM; returns them as the network's input."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, columns, channels), generator=generator,
                           dtype=torch.uint8)
    with open(path, "wb") as out:
        out.write(f"P{5 if channels == 1 else 6} {columns} {height} 255\n".encode())
        out.write(pixels.numpy().tobytes())
    return pixels.permute(2, 0, 1)[None].float() / 255


def disturb(net, seed):
    """Running statistics and weights as after training, not those of a new net."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_mean"):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
            elif name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) * 2 + 0.5)
            elif name.endswith("num_batches_tracked"):
                value.fill_(1234567890123)
            elif value.dim() == 1:
                value.add_(torch.randn(value.shape, generator=generator) * 0.3)


def compare(direction, name, net, x, program, weights, image, *options):
    """Whether the program's logits are those of `net`."""
    with torch.no_grad():
        expected = net.eval()(x)[0]
    out = json.loads(run(program, "predict", weights, image, "--json", *options))
    found = torch.tensor(out["logits"])
    difference = (found - expected).abs().max().item()
    largest = expected.abs().max().item()
    ok = found.shape == expected.shape and difference <= min(TOLERANCE, RELATIVE * largest)
    print(f"{'ok' if ok else 'DIFFERENT'}: {name} {'x'.join(map(str, x.shape[1:]))} {direction}: "
          f"logits up to {largest:.3g} differ by {difference:.1e}")
    return ok


def main():
    program, folder = sys.argv[1:]
    torch.set_num_threads(1)
    good = True
    for case, (name, width, channels, height, columns, classes) in enumerate([
            ("vgg16bn-compact", 16, 1, 28, 28, 10),
            ("vgg16bn-compact", 8, 3, 128, 128, 8),
            ("vgg16bn-paper", 4, 1, 28, 28, 10),
            ("vanilla5", 32, 3, 40, 24, 5)]):
        image = f"{folder}/{case}.ppm"
        x = write_image(image, channels, height, columns, case)
        shape = ["--width", str(width), "--channels", str(channels),
                 "--image-size", f"{height}x{columns}", "--classes", str(classes)]

        ours = f"{folder}/{case}-ours.safetensors"
        run(program, "model", "export", name, *shape, "--seed", "3", "--out", ours)
        net = build(name, width, channels, height, columns, classes)
        state, _ = load(ours)
        net.load_state_dict(state, strict=True)
        good &= compare("to PyTorch", name, net, x, program, ours, image)

        torch.manual_seed(case)
        net = build(name, width, channels, height, columns, classes)
        disturb(net, case)
        theirs = f"{folder}/{case}-theirs.safetensors"
        save(theirs, net.state_dict())
        good &= compare("from PyTorch", name, net, x, program, theirs, image,
                        "--model", name, *shape)

    # A trained network: batch norm statistics that training has moved, exported joined.
    trained = f"{folder}/trained"
    run(program, "simulate", "--dataset", "glyphs", "--width", "4", "--devices", "2",
        "--limit-train", "200", "--limit-test", "50", "--batch", "32", "--transport", "none",
        "--quiet", "--json", "--out", trained)
    weights = f"{folder}/trained.safetensors"
    run(program, "model", "export", "--run", trained, "--out", weights)
    name, channels, height, columns = "vgg16bn-compact", 1, 28, 28
    image = f"{folder}/trained.pgm"
    x = write_image(image, channels, height, columns, 99)
    net = build(name, 4, channels, height, columns, 10)
    net.load_state_dict(load(weights)[0], strict=True)
    good &= compare("trained, to PyTorch", name, net, x, program, weights, image)
    # The program of the README loads it as well.
    readme = pathlib.Path(__file__).resolve().parents[3] / "examples/README.md"
    block = re.search(r"^```python\n(.*?)^```", readme.read_text(), re.MULTILINE | re.DOTALL)[1]
    scope = {}
    exec(block.replace("weights.safetensors", weights), scope)  # pylint: disable=exec-used
    good &= compare("by the README's program", name, scope["net"], x, program, weights, image)
    save(f"{folder}/again.safetensors", net.state_dict())
    good &= compare("trained, there and back", name, net, x, program, f"{folder}/again.safetensors",
                    image, "--model", name, "--width", "4")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
