"""Golden cases of whole training runs: optimisers, learning rates, three steps of VGG-16-BN and of
a net of the other layers."""

import copy
import json

import torch
import torch.nn as nn
import torch.nn.functional as F

import golden_file
from op_cases import Random, rounded

STEPS = 3


def metadata(op, attrs, **tolerance):
    return {"format": "iotsl-golden-1", "op": op, "attrs": json.dumps(attrs), **tolerance}


def optimisers(folder):
    cases = {
        "sgd-plain": ("sgd", {"lr": 0.1}),
        "sgd-decay": ("sgd", {"lr": 0.05, "weight_decay": 0.01}),
        "sgd-momentum": ("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
        "sgd-nesterov": ("sgd", {"lr": 0.02, "momentum": 0.8, "nesterov": True}),
        "adam-default": ("adam", {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8}),
        "adam-gan": ("adam", {"lr": 1e-4, "betas": [0.5, 0.9], "eps": 1e-8}),
        "adam-decay": ("adam", {"lr": 0.01, "betas": [0.9, 0.99], "eps": 1e-4,
                                "weight_decay": 0.02}),
    }
    for name, (op, options) in cases.items():
        random = Random(name)
        parameter = nn.Parameter(random.normal(3, 2, 5))
        make = torch.optim.SGD if op == "sgd" else torch.optim.Adam
        optimiser = make([parameter], **options)
        tensors = {"input.param": parameter.detach().clone()}
        for step in range(5):
            parameter.grad = random.normal(3, 2, 5)
            tensors[f"input.grad.{step}"] = parameter.grad.clone()
            optimiser.step()
            tensors[f"output.param.{step}"] = parameter.detach().clone()
        for slot, value in optimiser.state[parameter].items():
            if slot in ("momentum_buffer", "exp_avg", "exp_avg_sq") and value is not None:
                tensors[f"output.{slot}"] = value.clone()
        golden_file.write(folder / f"{name}.safetensors",
                          metadata(op, options, rtol="1e-12", rtol_float="1e-5",
                                   atol_float="1e-6"), tensors)


def schedules(folder):
    def trace(make, lr, steps):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        schedule = make(optimiser)
        rates = []
        for _ in range(steps):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        return torch.tensor(rates, dtype=torch.float64)

    kinds = torch.optim.lr_scheduler
    cases = {
        "constant": lambda o: kinds.ConstantLR(o, 1.0),
        "linear": lambda o: kinds.LinearLR(o, 1.0, 0.0, 10),
        "cosine": lambda o: kinds.CosineAnnealingLR(o, 10),
    }
    for kind, make in cases.items():
        golden_file.write(
            folder / f"lr-{kind}.safetensors",
            metadata("lr_schedule", {"kind": kind, "lr": 0.05, "steps": 10}, rtol="1e-12"),
            {"output.0": trace(make, 0.05, 10)})


class CompactVgg(nn.Module):
    """vgg16bn-compact with torchvision's names; without a head it ends after the first pool."""

    def __init__(self, width, whole):
        super().__init__()
        blocks = [(1, 2), (2, 2), (4, 3), (8, 3), (8, 3)] if whole else [(1, 2)]
        layers, channels = [], 1
        for index, (factor, convolutions) in enumerate(blocks):
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, factor * width, 3, padding=1),
                           nn.BatchNorm2d(factor * width), nn.ReLU()]
                channels = factor * width
            if index < 4:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(8 * width, 10) if whole else None

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.flatten(1)) if self.classifier else x


def initialise(model, random):
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif tensor.dim() > 1:
            fan_in = tensor[0].numel()
            tensor.copy_(rounded(random.normal(*tensor.shape) * (2 / fan_in) ** 0.5))
        elif name.endswith(("running_var",)) or (name.endswith("weight") and tensor.dim() == 1):
            tensor.copy_(random.positive(*tensor.shape))
        else:
            tensor.copy_(rounded(0.1 * random.normal(*tensor.shape)))


def train(model, batches, targets, optimiser):
    """Labels are a target for the whole net; the front gets the gradient of its output."""
    outputs, losses = [], []
    for x, target in zip(batches, targets):
        optimiser.zero_grad()
        y = model(x)
        outputs.append(y.detach())
        if target.dtype == torch.int64:
            loss = F.cross_entropy(y, target)
            losses.append(loss.detach())
            loss.backward()
        else:
            y.backward(target)
        optimiser.step()
    return outputs, losses


def models(folder):
    sgd = {"optimizer": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
    # eps is large because a convolution's bias before batch norm has a gradient of zero, of which
    # float computes rounding noise: with a small eps Adam would turn that noise into full steps.
    adam = {"optimizer": "adam", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-3}
    gentle = {**sgd, "lr": 0.005}
    # The number picks a seed from which float stays near double: a value that lies so near a kink
    # of ReLU or max-pool that rounding decides would test luck.
    cases = {
        "front-w64-sgd": (64, False, 1, sgd, 2e-4, 0),
        "front-w16-adam": (16, False, 1, adam, 2e-4, 0),
        "front-w4-batch3": (4, False, 3, sgd, 2e-4, 0),
        "compact-w3-sgd": (3, True, 8, gentle, 1e-3, 4),
        "compact-w2-adam": (2, True, 8, adam, 1e-3, 1),
    }
    for name, (width, whole, batch, options, rtol_float, seed) in cases.items():
        random = Random(f"{name} {seed}")
        model = CompactVgg(width, whole).double()
        initialise(model, random)
        initial = copy.deepcopy(model.state_dict())
        batches = [random.positive(batch, 1, 28, 28) for _ in range(STEPS)]
        if whole:
            targets = [random.integers(10, batch) for _ in range(STEPS)]
        else:
            targets = [0.01 * random.normal(batch, width, 14, 14) for _ in range(STEPS)]
            targets = [rounded(t) for t in targets]
        results = {}
        for dtype in (torch.float64, torch.float32):
            m = copy.deepcopy(model).to(dtype)
            settings = {k: v for k, v in options.items() if k != "optimizer"}
            make = torch.optim.SGD if options["optimizer"] == "sgd" else torch.optim.Adam
            cast = [t if t.dtype == torch.int64 else t.to(dtype) for t in targets]
            outputs, losses = train(m, [x.to(dtype) for x in batches], cast,
                                    make(m.parameters(), **settings))
            results[dtype] = (m.state_dict(), outputs, losses)
        final, outputs, losses = results[torch.float64]

        # PyTorch's own distance between float and double says what a float run can reach.
        worst = max(((final[k] - v.double()).abs().max() / final[k].abs().max()).item()
                    for k, v in results[torch.float32][0].items() if v.is_floating_point())
        print(f"{name}: float differs from double by {worst:.1e}, tolerance {rtol_float:.0e}")
        assert worst < rtol_float / 10

        tensors = {}
        for step in range(STEPS):
            tensors[f"input.{step}"] = batches[step].float()
            if whole:
                tensors[f"labels.{step}"] = targets[step]
                tensors[f"loss.{step}"] = losses[step]
                tensors[f"output.{step}"] = outputs[step]
            else:
                tensors[f"cotangent.{step}"] = targets[step].float()
        for key in initial:
            # Weights are stored in float to keep the files small; the initial ones are exact in it.
            start, end = initial[key], final[key]
            tensors[f"initial.{key}"] = start.float() if start.is_floating_point() else start
            tensors[f"final.{key}"] = end.float() if end.dim() > 1 else end
        attrs = {"model": "vgg16bn-compact", "width": width, "classes": 10,
                 "part": "whole" if whole else "front", **options}
        golden_file.write(
            folder / f"{name}.safetensors",
            metadata("train", attrs, rtol="1e-8", atol="1e-10", rtol_float=f"{rtol_float:g}",
                     atol_float="2e-5"),
            tensors)


def layers(folder):
    """Three steps of a net that has every layer which vgg16bn lacks."""
    described = [
        (nn.Conv2d(3, 6, 3, padding=1, groups=3),
         {"type": "grouped_conv2d", "in_channels": 3, "out_channels": 6, "groups": 3,
          "kernel": [3, 3], "stride": [1, 1], "pad": [1, 1], "dilation": [1, 1], "bias": True}),
        (nn.GroupNorm(2, 6), {"type": "group_norm", "groups": 2, "channels": 6, "eps": 1e-5}),
        (nn.SiLU(), {"type": "silu"}),
        (nn.Conv2d(6, 8, 1), {"type": "conv2d", "in_channels": 6, "out_channels": 8,
                              "kernel": [1, 1]}),
        (nn.LeakyReLU(0.1), {"type": "leaky_relu", "negative_slope": 0.1}),
        (nn.AvgPool2d(2), {"type": "avg_pool2d", "kernel": [2, 2], "stride": [2, 2]}),
        (nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2, bias=False),
         {"type": "grouped_conv2d", "in_channels": 8, "out_channels": 8, "groups": 2,
          "kernel": [3, 3], "stride": [2, 2], "pad": [1, 1], "bias": False}),
        (nn.GELU(), {"type": "gelu"}),
        (nn.Flatten(), {"type": "flatten"}),
        (nn.LayerNorm(72), {"type": "layer_norm", "features": 72}),
        (nn.Linear(72, 9), {"type": "linear", "in_features": 72, "out_features": 9}),
        (nn.Tanh(), {"type": "tanh"}),
        (nn.Linear(9, 5), {"type": "linear", "in_features": 9, "out_features": 5}),
        (nn.GELU(approximate="tanh"), {"type": "gelu", "tanh_form": True}),
        (nn.Sigmoid(), {"type": "sigmoid"}),
        (nn.Linear(5, 4), {"type": "linear", "in_features": 5, "out_features": 4}),
        (nn.Softmax(1), {"type": "softmax"}),
    ]
    random = Random("layers")
    model = nn.Sequential(*(layer for layer, _ in described)).double()
    initialise(model, random)
    initial = copy.deepcopy(model.state_dict())
    batches = [random.normal(2, 3, 12, 10) for _ in range(STEPS)]
    targets = [random.normal(2, 4) for _ in range(STEPS)]
    options = {"lr": 0.05, "momentum": 0.9}
    outputs, _ = train(model, batches, targets, torch.optim.SGD(model.parameters(), **options))
    tensors = {}
    for step in range(STEPS):
        tensors |= {f"input.{step}": batches[step].float(), f"output.{step}": outputs[step],
                    f"cotangent.{step}": targets[step].float()}
    for key, end in model.state_dict().items():
        tensors |= {f"initial.{key}": initial[key].float(), f"final.{key}": end}
    attrs = {"optimizer": "sgd", **options,
             "layers": [{"name": str(i), **fields} for i, (_, fields) in enumerate(described)]}
    golden_file.write(folder / "layers.safetensors",
                      metadata("train", attrs, rtol="1e-9", atol="1e-11", rtol_float="2e-4",
                               atol_float="2e-5"), tensors)


def make(folder):
    optimisers(folder / "optim")
    schedules(folder / "optim")
    models(folder / "models")
    layers(folder / "models")
