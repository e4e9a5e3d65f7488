"""Golden cases of the generative network: its operations, and the gradients of both losses."""

import json

import torch
import torch.nn.functional as F

import golden_file
from op_cases import Random, Writer, rounded

PIXEL_NORM_EPS = 1e-10
NORM_EPS = 1e-12
PENALTY, DRIFT = 10.0, 1e-3


def pixel_norm(x, eps=PIXEL_NORM_EPS):
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps)


def spectral_norm(weight, u, v):
    """u and v are constants; sigma is part of the graph."""
    return weight / (u @ weight.flatten(1) @ v)


def power_iteration(weight, u, steps):
    matrix = weight.flatten(1)
    for _ in range(steps):
        v = F.normalize(matrix.T @ u, dim=0)
        u = F.normalize(matrix @ v, dim=0)
    return rounded(u), rounded(v)


# --- operations ---

def cropped_deconvolutions(w):
    # name: x, weight, bias, stride, padding, rows and columns kept
    cases = {
        "paper": ([2, 8, 4, 4], [8, 4, 5, 5], True, 1, 0, 7, 7),
        "double": ([2, 4, 4, 4], [4, 2, 4, 4], True, 2, 1, 7, 7),
        "uneven": ([1, 3, 3, 5], [3, 2, 3, 4], True, [2, 1], [1, 0], 4, 6),
        "rows": ([2, 2, 4, 3], [2, 3, 5, 5], False, 1, 0, 5, 7),
        "nothing": ([1, 2, 3, 3], [2, 1, 3, 3], True, 2, 0, 7, 7),
        "map1x1": ([3, 2, 1, 1], [2, 3, 3, 3], True, 1, 0, 2, 1),
    }
    for name, (xs, ws, with_bias, stride, padding, rows, columns) in cases.items():
        r = Random(f"conv_transpose2d_crop-{name}")
        attrs = {"stride": stride, "padding": padding, "crop_h": rows, "crop_w": columns}
        inputs = {"x": r.normal(*xs), "weight": r.normal(*ws)}
        if with_bias:
            inputs["bias"] = r.normal(ws[1])

        def cropped(x, k, b=None, stride=stride, padding=padding, rows=rows, columns=columns):
            y = F.conv_transpose2d(x, k, b, stride, padding)
            assert y.shape[2] >= rows and y.shape[3] >= columns
            return y[:, :, :rows, :columns]

        w.differentiate("conv_transpose2d_crop", name, attrs, inputs, cropped)


def pixel_norms(w):
    for name, xs in {"map": [2, 5, 3, 4], "two-channels": [2, 2, 2, 3], "map1x1": [3, 4, 1, 1],
                     "tail": [1, 3, 5, 7], "batch1": [1, 16, 4, 4]}.items():
        x = Random(f"pixel_norm-{name}").normal(*xs)
        w.differentiate("pixel_norm", name, {}, {"x": x}, pixel_norm)
    # As after ReLU: many zeros, but not at all channels of one pixel, where eps alone would count.
    x = F.relu(Random("pixel_norm-relu").normal(2, 6, 4, 4))
    x[:, 0] += 0.5
    w.differentiate("pixel_norm", "relu", {}, {"x": rounded(x)}, pixel_norm)
    x = Random("pixel_norm-eps").normal(2, 3, 3, 3)
    w.differentiate("pixel_norm", "eps", {"eps": 0.25}, {"x": x}, lambda x: pixel_norm(x, 0.25))


def embeddings(w):
    for name, (rows, width, labels) in {
            "mixed": (10, 7, [3, 0, 9, 3, 5]), "same": (4, 5, [2, 2, 2, 2]), "batch1": (3, 19, [1]),
            "one-row": (1, 4, [0, 0])}.items():
        labels = torch.tensor(labels)
        w.differentiate("embedding", name, {},
                        {"weight": Random(f"embedding-{name}").normal(rows, width)},
                        lambda weight: F.embedding(labels, weight), {"input.labels": labels})


def spectral_norms(w):
    # name: weight, power iterations that u and v have seen: few leave sigma far from its limit.
    for name, (shape, steps) in {"conv": ([6, 3, 5, 5], 1), "linear": ([1, 40], 1),
                                 "embedding": ([10, 24], 2), "square": ([7, 7], 50),
                                 "tall": ([19, 3], 1)}.items():
        r = Random(f"spectral_norm-{name}")
        weight = r.normal(*shape)
        u, v = power_iteration(weight, r.normal(shape[0]), steps)
        w.differentiate("spectral_norm", name, {}, {"weight": weight},
                        lambda weight, u=u, v=v: spectral_norm(weight, u, v),
                        {"input.u": u.float(), "input.v": v.float()})


def row_norms(w):
    def row_norm(x, eps):
        return (x.flatten(1).square().sum(1) + eps).sqrt()

    for name, (xs, eps) in {"images": ([3, 2, 4, 5], 1e-12), "matrix": ([4, 19], 1e-3),
                            "batch1": ([1, 1, 5, 7], 1e-12), "one": ([3, 1], 0.5)}.items():
        x = Random(f"row_norm-{name}").normal(*xs)
        w.differentiate("row_norm", name, {"eps": eps}, {"x": x},
                        lambda x, eps=eps: row_norm(x, eps))
    x = Random("row_norm-zero").normal(3, 4)
    x[1] = 0  # the gradient is 0 there, the second one 1 / sqrt(eps)
    w.differentiate("row_norm", "zero", {"eps": 0.01}, {"x": x}, lambda x: row_norm(x, 0.01))


# --- the losses ---

def generator_forward(p, noise, labels, classes):
    x = F.linear(torch.cat((noise, F.one_hot(labels, classes).to(noise.dtype)), 1),
                 p["linear.weight"], p["linear.bias"])
    x = pixel_norm(F.relu(x.view(len(noise), -1, 4, 4)))
    x = F.conv_transpose2d(x, p["deconv1.weight"], p["deconv1.bias"])[:, :, :7, :7]
    x = F.conv_transpose2d(pixel_norm(F.relu(x)), p["deconv2.weight"], p["deconv2.bias"])
    x = F.conv_transpose2d(pixel_norm(F.relu(x)), p["deconv3.weight"], p["deconv3.bias"], 2)
    return torch.sigmoid(x)


def critic_forward(p, x, labels):
    w = {layer: spectral_norm(p[f"{layer}.weight"], p[f"{layer}.u"], p[f"{layer}.v"])
         for layer in ("conv1", "conv2", "conv3", "linear", "embedding")}
    for layer in ("conv1", "conv2", "conv3"):
        x = F.relu(F.conv2d(x, w[layer], p[f"{layer}.bias"], 2, 2))
    h = x.flatten(1)
    projection = (F.embedding(labels, w["embedding"]) * h).sum(1, keepdim=True)
    return F.linear(h, w["linear"], p["linear.bias"]) + projection


def critic_loss(p, real, fake, labels, alpha):
    on_real, on_fake = critic_forward(p, real, labels), critic_forward(p, fake, labels)
    a = alpha.view(-1, 1, 1, 1)
    between = (a * real + (1 - a) * fake).requires_grad_()
    slope, = torch.autograd.grad(critic_forward(p, between, labels).sum(), between,
                                 create_graph=True)
    norm = (slope.flatten(1).square().sum(1) + NORM_EPS).sqrt()
    penalty = (norm - 1).square().mean()
    wasserstein = on_real.mean() - on_fake.mean()
    total = -wasserstein + DRIFT * on_real.square().mean() + PENALTY * penalty
    return total, wasserstein, penalty


def networks(random, width, channels, classes, latent):
    """Parameters and buffers of both networks by name."""
    def weights(shapes):
        out = {}
        for name, shape in shapes.items():
            fan_in = shape[1:].numel() if len(shape) > 1 else 4
            out[name] = rounded(random.normal(*shape) * (2 / fan_in) ** 0.5)
        return out

    w, size = width, torch.Size
    critic = weights({
        "conv1.weight": size([w, channels, 5, 5]), "conv1.bias": size([w]),
        "conv2.weight": size([2 * w, w, 5, 5]), "conv2.bias": size([2 * w]),
        "conv3.weight": size([4 * w, 2 * w, 5, 5]), "conv3.bias": size([4 * w]),
        "linear.weight": size([1, 64 * w]), "linear.bias": size([1]),
        "embedding.weight": size([classes, 64 * w])})
    # The gradient of this bias is 1 - 1 + 2 drift mean D(real): not all of it should be rounding.
    critic["linear.bias"] = rounded(critic["linear.bias"] + 10)
    for layer in ("conv1", "conv2", "conv3", "linear", "embedding"):
        weight = critic[f"{layer}.weight"]
        if layer.startswith("conv"):  # smooth kernels, so that the slope's norm is not far from 1
            weight += 0.3 * weight.std()
            weight.copy_(rounded(weight))
        u, v = power_iteration(weight, random.normal(weight.shape[0]), 5)
        critic[f"{layer}.u"], critic[f"{layer}.v"] = u, v
    generator = weights({
        "linear.weight": size([64 * w, latent + classes]), "linear.bias": size([64 * w]),
        "deconv1.weight": size([4 * w, 2 * w, 5, 5]), "deconv1.bias": size([2 * w]),
        "deconv2.weight": size([2 * w, w, 5, 5]), "deconv2.bias": size([w]),
        "deconv3.weight": size([w, channels, 8, 8]), "deconv3.bias": size([channels])})
    return critic, generator


def run(critic, generator, data, classes, dtype):
    """All expected tensors by name, computed in `dtype`."""
    buffer = (".u", ".v")
    p = {k: v.to(dtype).requires_grad_(not k.endswith(buffer)) for k, v in critic.items()}
    g = {k: v.to(dtype).requires_grad_() for k, v in generator.items()}
    d = {k: v.to(dtype) if v.is_floating_point() else v for k, v in data.items()}
    total, wasserstein, penalty = critic_loss(p, d["real"], d["fake"], d["labels"], d["alpha"])
    out = {"output.critic_loss": total, "output.wasserstein": wasserstein,
           "output.penalty": penalty}
    wanted = {k: v for k, v in p.items() if v.requires_grad}
    grads = torch.autograd.grad(total, list(wanted.values()))
    out |= {f"grad.critic.{k}": v for k, v in zip(wanted, grads)}

    images = generator_forward(g, d["noise"], d["labels"], classes)
    loss = -critic_forward(p, images, d["labels"]).mean()
    grads = torch.autograd.grad(loss, list(g.values()))
    out |= {"output.images": images, "output.generator_loss": loss}
    out |= {f"grad.generator.{k}": v for k, v in zip(g, grads)}
    return {k: v.detach() for k, v in out.items()}


def losses(folder):
    # name: width, channels, classes, latent, labels. The last number picks a seed from which float
    # stays near double: a value so near a kink of ReLU that rounding decides would test luck.
    cases = {
        "w2-batch1": (2, 1, 10, 10, [7], 0),
        "w2-batch3": (2, 1, 10, 10, [0, 9, 4], 0),
        "w2-same-label": (2, 1, 10, 10, [3, 3, 3, 3, 3], 0),
        "w4-colour": (4, 3, 8, 10, [1, 0, 7, 1, 5], 0),
        "w4-colour-batch1": (4, 3, 8, 6, [2], 0),
        "w4-one-class": (4, 1, 1, 3, [0, 0, 0], 0),
        "w8-batch3": (8, 1, 4, 10, [3, 1, 2], 0),
    }
    for name, (width, channels, classes, latent, labels, seed) in cases.items():
        random = Random(f"wgan_gp-{name} {seed}")
        critic, generator = networks(random, width, channels, classes, latent)
        batch = len(labels)

        def uniform(high, *shape):
            return rounded((random.positive(*shape) - 0.25) * high / 2)

        image = (batch, channels, 28, 28)
        data = {"real": uniform(1, *image), "fake": uniform(0.4, *image),
                "alpha": uniform(1, batch), "labels": torch.tensor(labels),
                "noise": (random.normal(batch, latent) > 0).double()}
        expected = run(critic, generator, data, classes, torch.float64)

        # PyTorch's own distance between float and double says what a float run can reach.
        single = run(critic, generator, data, classes, torch.float32)
        worst, where = max((((single[k].double() - v).abs().max() / v.abs().max()).item(), k)
                           for k, v in expected.items())
        penalty, bias = (expected[k].item() for k in ("output.penalty", "grad.critic.linear.bias"))
        print(f"wgan_gp-{name}: float differs from double by {worst:.1e} ({where}); "
              f"penalty {penalty:.3f}, gradient of the last bias {bias:.1e}")
        assert worst < 1e-5

        given = {f"critic.{k}": v for k, v in critic.items()}
        given |= {f"generator.{k}": v for k, v in generator.items()} | data
        assert all(torch.equal(v, v.float().to(v.dtype)) for v in given.values())
        tensors = {f"input.{k}": v.float() if v.is_floating_point() else v
                   for k, v in given.items()}
        attrs = {"width": width, "channels": channels, "classes": classes, "latent": latent,
                 "penalty": PENALTY, "drift": DRIFT, "eps": NORM_EPS}
        golden_file.write(folder / f"wgan_gp-{name}.safetensors",
                          {"format": "iotsl-golden-1", "op": "wgan_gp",
                           "attrs": json.dumps(attrs), "rtol": "1e-8", "atol": "0",
                           "rtol_float": "1e-4", "atol_float": "0"}, tensors | expected)


def make(folder):
    writer = Writer(folder / "ops")
    for family in (cropped_deconvolutions, pixel_norms, embeddings, spectral_norms, row_norms):
        family(writer)
    losses(folder / "gan")
    return writer.count
