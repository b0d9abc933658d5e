"""Blocks that weigh their channels, a table of activations, label smoothing, an optimiser of one's own."""

import math

import torch
from fixed_numbers import fill, images
from torch import nn
from torch.optim.optimizer import Optimizer


class SEBlock(nn.Module):
    def __init__(self, channels, reduction=4):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


ACTIVATIONS = nn.ModuleDict(
    {"relu": nn.ReLU(inplace=True), "leaky": nn.LeakyReLU(0.1), "elu": nn.ELU(), "gelu": nn.GELU(), "mish": nn.Mish()}
)


class SENet(nn.Module):
    def __init__(self, activation):
        super().__init__()
        act = ACTIVATIONS[activation]
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), act)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), SEBlock(12)) for _ in range(2)])
        self.act = act
        self.head = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(12 * 16, 16), nn.BatchNorm1d(16), act,
                                  nn.Linear(16, 4))  # fmt: skip

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = self.act(x + block(x))
        return self.head(x)


class SignedMomentum(Optimizer):
    """Steps by the sign of the running mean of gradients, with a decay of weights."""

    def __init__(self, params, lr=1e-3, beta=0.9, weight_decay=0.0):
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, dict(lr=lr, beta=beta, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["mean"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                state["step"] += 1
                mean = state["mean"]
                mean.mul_(group["beta"]).add_(grad, alpha=1 - group["beta"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.addcdiv_(mean, mean.abs().add_(1e-3), value=-group["lr"])
        return loss


x, y = map(torch.from_numpy, images(64, seed=3))
for name in ACTIVATIONS:
    torch.manual_seed(0)
    model = fill(SENet(name))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 1.0, 0.5]))
    decay, no_decay = [], []
    for key, parameter in model.named_parameters():
        (no_decay if key.endswith("bias") or parameter.ndim == 1 else decay).append(parameter)
    optimizer = SignedMomentum([{"params": decay}, {"params": no_decay, "weight_decay": 0.0}], lr=2e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for step in range(8):
        xb, yb = x[step % 4 * 16 : step % 4 * 16 + 16], y[step % 4 * 16 : step % 4 * 16 + 16]
        loss = criterion(model(xb), yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = math.sqrt(sum(torch.norm(p.grad).item() ** 2 for p in model.parameters()))
        optimizer.step()
        scheduler.step()
        if step % 2:
            print(f"{name} step {step} loss {loss.item():.6f} norm {norm:.5f} lr {scheduler.get_last_lr()[0]:.6f}")
print(ACTIVATIONS)
print(len(optimizer.state), optimizer.state[decay[0]]["step"], sorted(optimizer.state_dict()))
