"""A course's assignment: layers as functions of tensors with backward passes of one's own, checked by autograd."""

import torch
from fixed_numbers import images


def softmax_loss(x, y):
    shifted_logits = x - x.max(dim=1, keepdim=True).values
    z = shifted_logits.exp().sum(dim=1, keepdim=True)
    log_probs = shifted_logits - z.log()
    probs = log_probs.exp()
    n = x.shape[0]
    loss = (-1.0 / n) * log_probs[torch.arange(n), y].sum()
    dx = probs.clone()
    dx[torch.arange(n), y] -= 1
    dx /= n
    return loss, dx


def svm_loss(x, y):
    n = x.shape[0]
    correct = x[torch.arange(n), y]
    margins = (x - correct[:, None] + 1.0).clamp(min=0.0)
    margins[torch.arange(n), y] = 0.0
    loss = margins.sum() / n
    num_pos = (margins > 0).sum(dim=1)
    dx = torch.zeros_like(x)
    dx[margins > 0] = 1.0
    dx[torch.arange(n), y] -= num_pos.to(dx.dtype)
    dx /= n
    return loss, dx


class Linear(object):
    @staticmethod
    def forward(x, w, b):
        out = x.reshape(x.shape[0], -1).mm(w) + b
        return out, (x, w, b)

    @staticmethod
    def backward(dout, cache):
        x, w, b = cache
        dx = dout.mm(w.t()).view(*x.shape)
        dw = x.view(x.shape[0], -1).t().mm(dout)
        db = dout.sum(dim=0)
        return dx, dw, db


class ReLU(object):
    @staticmethod
    def forward(x):
        return torch.maximum(x, torch.zeros_like(x)), x

    @staticmethod
    def backward(dout, x):
        dx = dout.clone()
        dx[x <= 0] = 0
        return dx


class Conv(object):
    @staticmethod
    def forward(x, w, b, pad=1, stride=2):
        n, c, h, width = x.shape
        f, _, hh, ww = w.shape
        padded = torch.nn.functional.pad(x, (pad, pad, pad, pad))
        out_h, out_w = 1 + (h + 2 * pad - hh) // stride, 1 + (width + 2 * pad - ww) // stride
        out = torch.zeros((n, f, out_h, out_w), dtype=x.dtype, device=x.device)
        for i in range(out_h):
            for j in range(out_w):
                window = padded[:, :, i * stride : i * stride + hh, j * stride : j * stride + ww]
                out[:, :, i, j] = torch.tensordot(window, w, dims=([1, 2, 3], [1, 2, 3])) + b
        return out, (padded, w, b, pad, stride)

    @staticmethod
    def backward(dout, cache):
        padded, w, b, pad, stride = cache
        dx, dw, db = torch.zeros_like(padded), torch.zeros_like(w), dout.sum(dim=(0, 2, 3))
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                rows = slice(i * stride, i * stride + w.shape[2])
                columns = slice(j * stride, j * stride + w.shape[3])
                dw += torch.einsum("nf,nchw->fchw", dout[:, :, i, j], padded[:, :, rows, columns])
                dx[:, :, rows, columns] += torch.einsum("nf,fchw->nchw", dout[:, :, i, j], w)
        return dx[:, :, pad:-pad, pad:-pad], dw, db


def rel_error(x, y, eps=1e-10):
    top = (x - y).abs().max().item()
    bot = (x.abs() + y.abs()).clamp(min=eps).max().item()
    return top / bot


def network(x, params):
    c, cache_c = Conv.forward(x, params["W1"], params["b1"])
    r, cache_r = ReLU.forward(c)
    out, cache_l = Linear.forward(r, params["W2"], params["b2"])
    return out, (cache_c, cache_r, cache_l)


def gradients(dout, caches):
    cache_c, cache_r, cache_l = caches
    grads = {}
    dr, grads["W2"], grads["b2"] = Linear.backward(dout, cache_l)
    _, grads["W1"], grads["b1"] = Conv.backward(ReLU.backward(dr, cache_r), cache_c)
    return grads


x, y = images(40, size=8, seed=5)
x, y = torch.tensor(x, dtype=torch.float64), torch.from_numpy(y)
x = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)
w1, _ = images(6, size=3, seed=6)
w2, _ = images(4, channels=6, size=4, seed=7)
params = {
    "W1": torch.tensor(w1, dtype=torch.float64) * 0.3,
    "b1": torch.zeros(6, dtype=torch.float64),
    "W2": torch.tensor(w2, dtype=torch.float64).reshape(4, -1).t().contiguous() * 0.1,
    "b2": torch.linspace(-0.1, 0.1, 4, dtype=torch.float64),
}

for loss_function in (softmax_loss, svm_loss):
    scores, caches = network(x, params)
    loss, dscores = loss_function(scores, y)
    grads = gradients(dscores, caches)
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    loss_again, _ = loss_function(network(x, leaves)[0], y)
    loss_again.backward()
    print(loss_function.__name__, f"{loss.item():.8f}")
    for name in params:
        error = rel_error(grads[name], leaves[name].grad)
        print(name, tuple(grads[name].shape), f"{grads[name].norm().item():.6f}", "right" if error < 1e-9 else error)

velocity = {name: torch.zeros_like(p) for name, p in params.items()}
for epoch in range(20):
    order = torch.arange(40).view(4, 10).t().flatten()
    for batch in order.split(10):
        scores, caches = network(x[batch], params)
        loss, dscores = softmax_loss(scores, y[batch])
        loss += 0.001 * (params["W1"] ** 2).sum() + 0.001 * torch.sum(params["W2"] * params["W2"])
        grads = gradients(dscores, caches)
        for name in params:
            if name.startswith("W"):
                grads[name] += 0.002 * params[name]
            velocity[name] = 0.9 * velocity[name] - 0.02 * grads[name]
            params[name] += velocity[name]
    if epoch % 5 == 4:
        predictions = network(x, params)[0].argmax(dim=1)
        print(f"epoch {epoch} loss {loss:.6f} accuracy {(predictions == y).double().mean().item():.4f}")
values, indices = torch.topk(network(x[:3], params)[0], 2)
print(indices.tolist(), [[f"{v:.5f}" for v in row] for row in values.tolist()])

w = torch.zeros(2, requires_grad=True)
for _ in range(50):
    loss = ((w - torch.tensor([1.0, -2.0])) ** 2).sum()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad.zero_()
print([f"{v:.5f}" for v in w.detach().numpy()], w.requires_grad, w.is_leaf)
