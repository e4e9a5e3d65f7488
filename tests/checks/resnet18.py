"""The example ResNet-18 against PyTorch: the same names, and the same logits either way.

usage: resnet18.py ROOT COMPILER [--width W] [--size S] [--classes C] [--optimise]

Compiles examples/14_resnet18.cpp as a newcomer does and runs it. Where PyTorch is there, the module
tree of torchvision (which is not needed) loads the example's weights strictly, the example loads
the module's, and the logits of both differ by at most 1e-4 of the largest. Exit code 77 without it.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from torch import nn
except ImportError:
    # Debian's package python3-torch is seen by Debian's Python only.
    if os.path.exists("/usr/bin/python3") and "IOTSL_SYSTEM_PYTHON" not in os.environ:
        os.environ["IOTSL_SYSTEM_PYTHON"] = "1"
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    torch = None

RELATIVE = 1e-4


def build(width, classes):
    def block(before, after, stride):
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
                self.bn1 = nn.BatchNorm2d(after)
                self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(after)
                self.downsample = None
                if stride != 1 or before != after:
                    self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False),
                                                    nn.BatchNorm2d(after))

            def forward(self, x):
                y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
                return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

        return Block()

    class ResNet18(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            before = width
            for i in range(4):
                after = width << i
                setattr(self, f"layer{i + 1}", nn.Sequential(block(before, after, 1 if i == 0 else 2),
                                                             block(after, after, 1)))
                before = after
            self.fc = nn.Linear(8 * width, classes)

        def forward(self, x):
            x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet18()


def check_names(net):
    """Names and their order as in torchvision, where 62 parameters and 60 buffers are."""
    names = list(net.state_dict())
    wanted = ["conv1.weight", "bn1.num_batches_tracked", "layer1.0.conv1.weight",
              "layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var",
              "layer4.1.bn2.weight", "fc.bias"]
    return len(names) == 122 and all(name in names for name in wanted)


def compare(direction, expected, found):
    difference = (found - expected).abs().max().item()
    largest = expected.abs().max().item()
    good = found.shape == expected.shape and difference <= RELATIVE * largest
    print(f"{'ok' if good else 'DIFFERENT'}: {direction}: logits up to {largest:.3g} differ by "
          f"{difference:.1e}, {difference / largest:.1e} of that")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("compiler")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--optimise", action="store_true")
    options = parser.parse_args()
    root = options.root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        def run(*command):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            print(done.stdout, done.stderr, sep="", end="")
            if done.returncode != 0 or done.stderr:
                sys.exit(f"{command[0]}: exit code {done.returncode}")

        run(options.compiler, "-std=c++20", f"-I{root}/include",
            *(["-O2", "-fopenmp"] if options.optimise else []),
            str(root / "examples" / "14_resnet18.cpp"), "-o", "a.out")
        run("./a.out")
        if torch is None:
            print("skipped: no PyTorch to compare with")
            return 77
        sys.path.insert(0, str(root / "tests" / "e2e" / "pytorch"))
        from pytorch_round_trip import disturb, load, save

        size = [str(options.width), str(options.classes)]
        run("./a.out", *size)
        torch.manual_seed(3)
        net = build(options.width, options.classes).eval()
        good = check_names(net)
        x = torch.rand(2, 3, options.size, options.size)
        save(f"{folder}/x.safetensors", {"x": x})
        ours = load(f"{folder}/resnet18.safetensors")[0]
        theirs = net.state_dict()
        disturb(net, 4)
        save(f"{folder}/theirs.safetensors", theirs)
        for direction, state, path in (("from PyTorch", theirs, "theirs.safetensors"),
                                       ("to PyTorch", ours, "resnet18.safetensors")):
            net.load_state_dict(state, strict=True)
            with torch.no_grad():
                expected = net(x)
            run("./a.out", *size, path, "x.safetensors", "logits.safetensors")
            good &= compare(direction, expected, load(f"{folder}/logits.safetensors")[0]["logits"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
