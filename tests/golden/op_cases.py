"""Golden cases of single operations: output, first and second gradients."""

import json
import zlib

import torch
import torch.nn.functional as F

import golden_file

# Stated tolerances, see README.md: the run in double and the run in float.
TOLERANCE = {"rtol": "1e-9", "atol": "1e-11", "rtol_float": "2e-4", "atol_float": "2e-5"}


def rounded(tensor):
    """Inputs are exact in float, so that both runs start from the same numbers."""
    return tensor.float().double()


class Random:
    """Every case has its own seed, so that a new case leaves the others as they are."""

    def __init__(self, name):
        self.generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))

    def normal(self, *shape):
        return rounded(torch.randn(shape, generator=self.generator, dtype=torch.float64))

    def positive(self, *shape):
        u = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return rounded(0.25 + 2 * u)

    def apart(self, *shape):
        """No value within 0.05 of zero and no two nearer than 0.01: away from every kink."""
        count = 1
        for extent in shape:
            count *= extent
        order = torch.randperm(count, generator=self.generator).double() - count // 2
        step = max(0.01, 4.0 / max(count, 1))
        return rounded((order * step + torch.where(order < 0, -0.05, 0.05)).reshape(shape))

    def integers(self, high, count, dtype=torch.int64):
        return torch.randint(high, (count,), generator=self.generator).to(dtype)


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def write(self, op, name, attrs, tensors, tolerance=TOLERANCE):
        # What is exact in float is stored in float: half the size.
        exact = ("input.", "cotangent.", "direction.")
        tensors = {k: v.float() if k.startswith(exact) and v.is_floating_point() else v
                   for k, v in tensors.items()}
        metadata = {"format": "iotsl-golden-1", "op": op, "attrs": json.dumps(attrs), **tolerance}
        golden_file.write(self.folder / f"{op}-{name}.safetensors", metadata, tensors)
        self.count += 1

    def differentiate(self, op, name, attrs, inputs, function, constants=None, outputs=None):
        """Writes output, gradients and second gradients of `function(*inputs)`.

        constants: further tensors the case needs that have no gradient.
        outputs: called after the forward pass, gives further expected tensors.
        """
        random = Random(f"{op}-{name}-seeds")
        leaves = {k: v.detach().clone().requires_grad_() for k, v in inputs.items()}
        y = function(*leaves.values())
        tensors = {f"input.{k}": v.detach().clone() for k, v in leaves.items()}
        tensors |= {k: v.clone() for k, v in (constants or {}).items()}
        tensors["output.0"] = y
        tensors |= outputs() if outputs else {}

        cotangent = random.normal(*y.shape).requires_grad_()
        tensors["cotangent.0"] = cotangent
        wanted = list(leaves.values())
        grads = torch.autograd.grad(y, wanted, cotangent, create_graph=True)
        directions = [random.normal(*g.shape) for g in grads]
        for key, grad, direction in zip(leaves, grads, directions):
            tensors[f"grad.{key}"] = grad
            tensors[f"direction.{key}"] = direction

        slope = sum((g * v).sum() for g, v in zip(grads, directions))
        wanted.append(cotangent)
        seconds = torch.autograd.grad(slope, wanted, allow_unused=True)
        for key, second, of in zip([*leaves, "cotangent"], seconds, wanted):
            zero = torch.zeros_like(of)
            tensors[f"grad2.{key}"] = zero if second is None else zero + second
        self.write(op, name, attrs, tensors)


def convolutions(w):
    # name: x, weight, bias, stride, padding, dilation
    cases = {
        "3x3": ([2, 3, 7, 6], [4, 3, 3, 3], True, 1, 1, 1),
        "stride2": ([2, 2, 5, 8], [3, 2, 3, 3], False, 2, 1, 1),
        "dilation2": ([1, 2, 8, 7], [3, 2, 3, 3], True, 1, 2, 2),
        "uneven": ([2, 2, 6, 7], [3, 2, 3, 2], True, [2, 1], [1, 0], [1, 2]),
        "1x1": ([2, 5, 3, 4], [6, 5, 1, 1], True, 1, 0, 1),
        "map1x1": ([1, 3, 1, 1], [5, 3, 3, 3], True, 1, 1, 1),
        "5x5s2": ([1, 1, 11, 9], [4, 1, 5, 5], True, 2, 2, 1),
        "wide": ([1, 8, 5, 11], [17, 8, 3, 3], True, 1, 1, 1),
        "tail": ([1, 2, 4, 19], [9, 2, 3, 3], False, 1, 1, 1),
        "stride3": ([2, 2, 9, 7], [3, 2, 2, 2], True, 3, 0, 1),
    }
    for name, (xs, ws, with_bias, stride, padding, dilation) in cases.items():
        r = Random(f"conv2d-{name}")
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        inputs = {"x": r.normal(*xs), "weight": r.normal(*ws)}
        if with_bias:
            inputs["bias"] = r.normal(ws[0])
        w.differentiate("conv2d", name, options, inputs,
                        lambda x, k, b=None, o=options: F.conv2d(x, k, b, **o))
        gy = r.normal(*F.conv2d(inputs["x"], inputs["weight"], None, **options).shape)

        # Written with unfold, which is differentiable to any order.
        def weight_grad(x, gy, ws=ws, o=options):
            columns = F.unfold(x, ws[2:], o["dilation"], o["padding"], o["stride"])
            return torch.einsum("nkl,nml->km", gy.flatten(2), columns).reshape(ws)

        if name in ("3x3", "stride2", "dilation2", "uneven", "map1x1", "tail"):
            w.differentiate("conv2d_weight_grad", name, {**options, "kernel_size": ws[2:]},
                            {"x": inputs["x"], "gy": gy}, weight_grad)


def transposed_convolutions(w):
    # name: x, weight, bias, stride, padding, output padding, dilation
    cases = {
        "5x5": ([2, 3, 4, 4], [3, 2, 5, 5], True, 1, 0, 0, 1),
        "8x8s2": ([1, 4, 5, 5], [4, 1, 8, 8], True, 2, 0, 0, 1),
        "output-padding": ([2, 3, 4, 3], [3, 2, 3, 3], False, 2, 1, 1, 1),
        "dilation2": ([1, 2, 4, 5], [2, 3, 3, 3], True, 1, 1, 0, 2),
        "uneven": ([2, 2, 3, 5], [2, 3, 3, 2], True, [2, 1], [1, 0], [1, 0], [1, 2]),
        "map1x1": ([1, 3, 1, 1], [3, 2, 3, 3], True, 1, 0, 0, 1),
        # Rows that taps reach behind the padding, and columns that none does.
        "output-padding-beyond-stride": ([2, 3, 3, 4], [3, 2, 3, 2], True, 1, [2, 0], [2, 1],
                                         [3, 2]),
    }
    for name, (xs, ws, with_bias, stride, padding, extra, dilation) in cases.items():
        r = Random(f"conv_transpose2d-{name}")
        options = {"stride": stride, "padding": padding, "output_padding": extra,
                   "dilation": dilation}
        inputs = {"x": r.normal(*xs), "weight": r.normal(*ws)}
        if with_bias:
            inputs["bias"] = r.normal(ws[1])
        w.differentiate("conv_transpose2d", name, options, inputs,
                        lambda x, k, b=None, o=options: F.conv_transpose2d(x, k, b, **o))


def grouped_convolutions(w):
    # name: x, weight, bias, stride, padding, dilation, groups
    cases = {
        "groups2": ([2, 4, 6, 5], [6, 2, 3, 3], True, 1, 1, 1, 2),
        "groups3-stride2": ([1, 6, 7, 8], [3, 2, 3, 3], False, 2, 1, 1, 3),
        "depthwise": ([2, 3, 7, 6], [3, 1, 3, 3], True, 1, 1, 1, 3),
        "depthwise-doubled": ([2, 3, 9, 8], [6, 1, 5, 5], False, 2, 2, 1, 3),
        "depthwise-doubled-dense": ([1, 2, 5, 6], [4, 1, 3, 2], True, 1, [1, 0], 1, 2),
        "depthwise-uneven": ([1, 4, 9, 11], [4, 1, 3, 2], True, [2, 3], [1, 0], [1, 2], 4),
        "depthwise-wide": ([1, 2, 3, 37], [2, 1, 3, 3], True, 1, 1, 1, 2),
    }
    for name, (xs, ws, with_bias, stride, padding, dilation, groups) in cases.items():
        r = Random(f"conv2d-{name}")
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        inputs = {"x": r.normal(*xs), "weight": r.normal(*ws)}
        bias = {"bias": r.normal(ws[0])} if with_bias else {}
        w.differentiate("conv2d", name, options, inputs | bias,
                        lambda x, k, b=None, o=options: F.conv2d(x, k, b, **o))
        gy = r.normal(*F.conv2d(inputs["x"], inputs["weight"], None, **options).shape)

        def weight_grad(x, gy, ws=ws, o=options):
            columns = F.unfold(x, ws[2:], o["dilation"], o["padding"], o["stride"])
            g = o["groups"]
            columns = columns.reshape(x.shape[0], g, -1, columns.shape[-1])
            rows = gy.reshape(x.shape[0], g, ws[0] // g, -1)
            return torch.einsum("ngkl,ngml->gkm", rows, columns).reshape(ws)

        w.differentiate("conv2d_weight_grad", name, {**options, "kernel_size": ws[2:]},
                        {"x": inputs["x"], "gy": gy}, weight_grad)
        extra = {"bias": r.normal(xs[1])} if with_bias else {}
        w.differentiate("conv_transpose2d", name, options,
                        {"x": gy, "weight": inputs["weight"]} | extra,
                        lambda x, k, b=None, o=options: F.conv_transpose2d(x, k, b, **o))


def products(w):
    sizes = {"3x4x5": (3, 4, 5), "17x33x9": (17, 33, 9), "1x7x1": (1, 7, 1), "6x1x13": (6, 1, 13)}
    for name, (m, k, n) in sizes.items():
        r = Random(f"matmul-{name}")
        a, b = r.normal(m, k), r.normal(k, n)
        w.differentiate("matmul", name, {}, {"a": a, "b": b}, lambda a, b: a @ b)
        w.differentiate("matmul_nt", name, {}, {"a": a, "b": r.normal(n, k)}, lambda a, b: a @ b.T)
        w.differentiate("matmul_tn", name, {}, {"a": r.normal(k, m), "b": b}, lambda a, b: a.T @ b)
    for name, (batch, inner, outer, with_bias) in {
            "bias": (4, 6, 5, True), "plain": (3, 7, 2, False), "batch1": (1, 9, 10, True),
            "tail": (5, 17, 19, True)}.items():
        r = Random(f"linear-{name}")
        inputs = {"x": r.normal(batch, inner), "weight": r.normal(outer, inner)}
        if with_bias:
            inputs["bias"] = r.normal(outer)
        w.differentiate("linear", name, {}, inputs, F.linear)


def normalisation(w):
    # name: x, training, momentum, eps
    cases = {
        "train": ([3, 4, 5, 6], True, 0.1, 1e-5),
        "train-uneven": ([2, 3, 7, 5], True, 0.3, 1e-3),
        "train-batch1": ([1, 2, 3, 3], True, 0.1, 1e-5),
        "train-map1x1": ([6, 5, 1, 1], True, 0.1, 1e-5),
        "eval": ([2, 4, 3, 5], False, 0.1, 1e-5),
        "eval-batch1": ([1, 3, 1, 1], False, 0.1, 1e-5),
    }
    for name, (xs, training, momentum, eps) in cases.items():
        r = Random(f"batch_norm2d-{name}")
        c = xs[1]
        before = {"running_mean": r.normal(c), "running_var": r.positive(c)}
        after = {k: v.clone() for k, v in before.items()}
        inputs = {"x": 1.5 * r.normal(*xs) + r.normal(1, c, 1, 1), "weight": r.positive(c),
                  "bias": r.normal(c)}
        inputs["x"] = rounded(inputs["x"])
        w.differentiate(
            "batch_norm2d", name, {"training": training, "momentum": momentum, "eps": eps}, inputs,
            lambda x, g, b: F.batch_norm(x, after["running_mean"], after["running_var"], g, b,
                                         training, momentum, eps),
            constants={f"input.{k}": v for k, v in before.items()},
            outputs=lambda: {f"output.{k}": v.clone() for k, v in after.items()})


def sample_normalisation(w):
    # name: x, groups, eps
    cases = {"map": ([2, 6, 3, 5], 3, 1e-5), "one": ([3, 4, 2, 2], 1, 1e-3),
             "each": ([1, 5, 7, 3], 5, 1e-5), "matrix": ([4, 6], 2, 1e-5)}
    for name, (xs, groups, eps) in cases.items():
        r = Random(f"group_norm-{name}")
        inputs = {"x": rounded(1.5 * r.normal(*xs) + 0.5), "weight": r.positive(xs[1]),
                  "bias": r.normal(xs[1])}
        w.differentiate("group_norm", name, {"num_groups": groups, "eps": eps}, inputs,
                        lambda x, g, b: F.group_norm(x, groups, g, b, eps))
    # name: x, normalised shape, eps
    cases = {"matrix": ([5, 19], [19], 1e-5), "map": ([2, 3, 4, 5], [3, 4, 5], 1e-5),
             "last": ([2, 3, 7], [7], 1e-3), "last-two": ([3, 2, 4, 3], [4, 3], 1e-5)}
    for name, (xs, shape, eps) in cases.items():
        r = Random(f"layer_norm-{name}")
        inputs = {"x": rounded(1.5 * r.normal(*xs) + 0.5), "weight": r.positive(*shape),
                  "bias": r.normal(*shape)}
        w.differentiate("layer_norm", name, {"normalized_shape": shape, "eps": eps}, inputs,
                        lambda x, g, b: F.layer_norm(x, shape, g, b, eps))


def pooling(w):
    cases = {
        "2x2": ([2, 3, 6, 4], 2, 2, 0),
        "odd": ([1, 2, 7, 5], 2, 2, 0),
        "3x3s1p1": ([2, 2, 5, 6], 3, 1, 1),
        "uneven": ([1, 2, 7, 8], [3, 2], [2, 3], [1, 0]),
        "map1x1": ([2, 3, 1, 1], 1, 1, 0),
        "tail": ([1, 2, 6, 38], 2, 2, 0),
    }
    for name, (xs, kernel, stride, padding) in cases.items():
        x = Random(f"max_pool2d-{name}").apart(*xs)
        w.differentiate("max_pool2d", name,
                        {"kernel_size": kernel, "stride": stride, "padding": padding}, {"x": x},
                        lambda x: F.max_pool2d(x, kernel, stride, padding))
    # name: x, kernel, stride, padding, count_include_pad
    cases = {
        "2x2": ([2, 3, 6, 4], 2, 2, 0, True),
        "odd": ([1, 2, 7, 5], 2, 2, 0, True),
        "3x3s1p1": ([2, 2, 5, 6], 3, 1, 1, True),
        "3x3s1p1-inside": ([2, 2, 5, 6], 3, 1, 1, False),
        "uneven-inside": ([1, 2, 7, 8], [3, 2], [2, 3], [1, 0], False),
        "one-channel": ([2, 1, 6, 6], 3, 2, 1, True),
        "map1x1": ([2, 3, 1, 1], 1, 1, 0, True),
        "tail": ([1, 2, 6, 38], 2, 2, 0, True),
    }
    for name, (xs, kernel, stride, padding, include) in cases.items():
        w.differentiate("avg_pool2d", name,
                        {"kernel_size": kernel, "stride": stride, "padding": padding,
                         "count_include_pad": include},
                        {"x": Random(f"avg_pool2d-{name}").normal(*xs)},
                        lambda x: F.avg_pool2d(x, kernel, stride, padding, False, include))
    for name, xs in {"square": [2, 3, 4, 4], "uneven": [3, 2, 5, 7], "map1x1": [1, 4, 1, 1]}.items():
        w.differentiate("global_avg_pool2d", name, {},
                        {"x": Random(f"global_avg_pool2d-{name}").normal(*xs)},
                        lambda x: x.mean((2, 3)))


def losses(w):
    for name, (n, m, dtype) in {"i64": (5, 10, torch.int64), "i32": (3, 4, torch.int32),
                                "batch1": (1, 7, torch.int64), "tail": (9, 33, torch.int64)}.items():
        r = Random(f"softmax_cross_entropy-{name}")
        labels = r.integers(m, n, dtype)
        logits = 3 * r.normal(n, m)
        w.differentiate("softmax_cross_entropy", name, {}, {"logits": rounded(logits)},
                        lambda z: F.cross_entropy(z, labels.long()), {"input.labels": labels})
    far = rounded(100 * Random("softmax_cross_entropy-far").normal(4, 5))
    labels = torch.tensor([0, 1, 2, 4])
    w.differentiate("softmax_cross_entropy", "far", {}, {"logits": far},
                    lambda z: F.cross_entropy(z, labels), {"input.labels": labels})
    for name, shape in {"small": (3, 4), "batch1": (1, 10), "tail": (5, 19)}.items():
        w.differentiate("log_softmax", name, {}, {"x": 2 * Random(f"log_softmax-{name}").normal(*shape)},
                        lambda x: F.log_softmax(x, 1))
        w.differentiate("softmax", name, {}, {"x": 2 * Random(f"softmax-{name}").normal(*shape)},
                        lambda x: F.softmax(x, 1))
    for name, shape in {"matrix": [5, 4], "map": [2, 3, 2, 5], "one": [1], "scalar": []}.items():
        r = Random(f"mse_loss-{name}")
        w.differentiate("mse_loss", name, {}, {"x": r.normal(*shape), "target": r.normal(*shape)},
                        F.mse_loss)


def elementwise(w):
    shapes = {"scalar": [], "vector": [19], "map": [2, 3, 4, 5]}
    unary = {
        "neg": (torch.neg, "normal"), "exp": (torch.exp, "normal"), "log": (torch.log, "positive"),
        "sqrt": (torch.sqrt, "positive"), "rsqrt": (torch.rsqrt, "positive"),
        "square": (torch.square, "normal"), "reciprocal": (torch.reciprocal, "positive"),
        "sigmoid": (torch.sigmoid, "normal"), "tanh": (torch.tanh, "normal"),
        "relu": (torch.relu, "apart"), "abs": (torch.abs, "apart"),
        "normal_cdf": (torch.special.ndtr, "normal"),
        "silu": (F.silu, "normal"), "gelu": (F.gelu, "normal"),
    }
    for op, (function, domain) in unary.items():
        for name, shape in shapes.items():
            w.differentiate(op, name, {}, {"x": getattr(Random(f"{op}-{name}"), domain)(*shape)},
                            function)
    wide = torch.linspace(-30, 30, 41, dtype=torch.float64).float().double()
    for op in ("sigmoid", "tanh", "relu", "normal_cdf", "silu", "gelu"):
        w.differentiate(op, "wide", {}, {"x": wide + 0.25}, unary[op][0])
    w.differentiate("exp", "wide", {}, {"x": rounded(wide / 10)}, torch.exp)

    for name, shape in shapes.items():
        w.differentiate("gelu", f"tanh-{name}", {"approximate": "tanh"},
                        {"x": Random(f"gelu-tanh-{name}").normal(*shape)},
                        lambda x: F.gelu(x, approximate="tanh"))
        for slope in (0.01, 0.2, 0.0):
            w.differentiate("leaky_relu", f"{name}-{slope}", {"negative_slope": slope},
                            {"x": Random(f"leaky_relu-{name}").apart(*shape)},
                            lambda x: F.leaky_relu(x, slope))

    pairs = {"same": ([3, 4], [3, 4]), "channel": ([2, 3, 2, 5], [1, 3, 1, 1]),
             "outer": ([4, 1], [1, 5]), "rank": ([5], [2, 1, 5]), "scalar": ([], [3, 3]),
             "odd": ([1, 2, 3, 7], [1, 2, 3, 7])}
    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
    for op, function in binary.items():
        for name, (sa, sb) in pairs.items():
            r = Random(f"{op}-{name}")
            w.differentiate(op, name, {}, {"a": r.normal(*sa), "b": r.positive(*sb)}, function)
    for name, value in {"half": 0.5, "minus": -3.25}.items():
        x = Random(f"scale-{name}").normal(2, 3, 5)
        w.differentiate("scale", name, {"value": value}, {"x": x}, lambda x: x * value)
        w.differentiate("add_scalar", name, {"value": value}, {"x": x}, lambda x: x + value)


def reductions(w):
    cases = {"all": ([2, 3, 4], None, False), "first": ([4, 3, 2, 5], [0], False),
             "channels": ([3, 4, 2, 5], [0, 2, 3], True), "last": ([5, 19], [-1], True),
             "middle": ([2, 7, 3], [1], False), "none-left": ([3, 2], [0, 1], False)}
    for op, function in {"sum": torch.sum, "mean": torch.mean}.items():
        for name, (shape, dims, keepdim) in cases.items():
            x = Random(f"{op}-{name}").normal(*shape)
            if dims is None:
                w.differentiate(op, name, {}, {"x": x}, function)
            else:
                w.differentiate(op, name, {"dims": dims, "keepdim": keepdim}, {"x": x},
                                lambda x: function(x, dims, keepdim))
    spread = {"channel": ([1, 3, 1, 1], [2, 3, 4, 5]), "rank": ([4], [2, 3, 4]),
              "scalar": ([], [3, 2]), "same": ([2, 3], [2, 3])}
    for name, (small, large) in spread.items():
        r = Random(f"broadcast_to-{name}")
        w.differentiate("broadcast_to", name, {"shape": large}, {"x": r.normal(*small)},
                        lambda x: x.expand(large))
        w.differentiate("sum_to", name, {"shape": small}, {"x": r.normal(*large)},
                        lambda x: x.sum_to_size(small))


def views(w):
    r = Random("views")
    for name, (before, after) in {"flat": ([2, 3, 4], [24]), "infer": ([2, 6], [3, -1]),
                                  "add-ones": ([5], [1, 5, 1, 1])}.items():
        w.differentiate("reshape", name, {"shape": after}, {"x": r.normal(*before)},
                        lambda x: x.reshape(after))
    for name, shape in {"map": [2, 3, 2, 4], "matrix": [4, 5], "map1x1": [3, 6, 1, 1]}.items():
        w.differentiate("flatten", name, {}, {"x": r.normal(*shape)}, lambda x: x.flatten(1))
    for name, (shape, dim, begin, end) in {
            "rows": ([5, 3], 0, 1, 4), "channels": ([2, 5, 3, 2], 1, 0, 2),
            "last": ([3, 2, 7], 2, 3, 7), "one": ([2, 3, 4, 5], 3, 2, 3)}.items():
        w.differentiate("slice", name, {"dim": dim, "begin": begin, "end": end},
                        {"x": r.normal(*shape)}, lambda x: x.narrow(dim, begin, end - begin))
    for name, (shape, dim, before, after) in {
            "rows": ([3, 2], 0, 2, 1), "width": ([2, 3, 2, 4], 3, 0, 3),
            "channels": ([1, 2, 3, 2], 1, 1, 0)}.items():
        amounts = [0, 0] * (len(shape) - 1 - dim) + [before, after]
        w.differentiate("pad", name, {"dim": dim, "before": before, "after": after},
                        {"x": r.normal(*shape)}, lambda x: F.pad(x, amounts))
    for name, (shapes, dim) in {"rows": ([[2, 3], [1, 3], [4, 3]], 0),
                                "channels": ([[2, 3, 2, 2], [2, 1, 2, 2]], 1),
                                "last": ([[3, 5], [3, 2]], 1)}.items():
        inputs = {str(i): r.normal(*s) for i, s in enumerate(shapes)}
        w.differentiate("concat", name, {"dim": dim}, inputs, lambda *t: torch.cat(t, dim))
    for name, shape in {"square": [3, 3], "row": [1, 5], "tall": [19, 9]}.items():
        w.differentiate("transpose", name, {}, {"x": r.normal(*shape)}, lambda x: x.t())
    for name, shape in {"eval": [2, 3, 2, 2], "matrix": [4, 5]}.items():
        attrs = {"p": 0.5, "training": False} if name == "eval" else {"p": 0.0, "training": True}
        w.differentiate("dropout", name, attrs, {"x": r.normal(*shape)}, lambda x: 1 * x)


def make(folder):
    writer = Writer(folder)
    for family in (convolutions, transposed_convolutions, grouped_convolutions, products,
                   normalisation, sample_normalisation, pooling, losses, elementwise, reductions,
                   views):
        family(writer)
    return writer.count
