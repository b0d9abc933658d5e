"""Operations of one's own: functions with a backward pass, gradients by hand and by grad, hooks on tensors, schedules."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from fixed_numbers import fill, images
from torch.autograd import Function, Variable


class HardSign(Function):
    """The sign; its gradient passes where the input is small."""

    @staticmethod
    def forward(ctx, input, bound):
        ctx.save_for_backward(input)
        ctx.bound = bound
        return torch.where(input >= 0, torch.ones_like(input), -torch.ones_like(input))

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input.abs() > ctx.bound] = 0
        return grad_input, None


class Scale(Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight.view(1, -1, 1, 1)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = grad * weight.view(1, -1, 1, 1)
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * x).sum(dim=(0, 2, 3))
        return grad_x, grad_weight


class BinaryConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, 3, 3) * 0.1)
        self.scale = nn.Parameter(torch.ones(b))
        self.bias = nn.Parameter(torch.zeros(b))
        self.register_parameter("unused", None)

    def forward(self, x):
        w = HardSign.apply(self.weight, 1.0)
        return Scale.apply(F.conv2d(x, w, self.bias, padding=1) / 10, self.scale)

    def extra_repr(self):
        return f"{self.weight.size(1)}, {self.weight.size(0)}"


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = BinaryConv(3, 8)
        self.conv2 = BinaryConv(8, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = F.max_pool2d(F.hardtanh(self.conv1(x)), 2)
        x = F.avg_pool2d(F.hardtanh(self.conv2(x)), kernel_size=8)
        return self.fc(x.squeeze(-1).squeeze(-1))


x, y = map(torch.from_numpy, images(32, seed=71))
net = fill(Net())
print(net)
seen = []
optimizer = torch.optim.SGD(
    [{"params": [p for n, p in net.named_parameters() if "fc" not in n]}, {"params": net.fc.parameters(), "lr": 0.1}],
    lr=0.02, momentum=0.9,
)  # fmt: skip
schedules = [
    torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3),
    torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8),
]
schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, schedules, milestones=[3])
for step in range(8):
    inputs, targets = Variable(x), Variable(y)
    optimizer.zero_grad()
    outputs = net(inputs)
    outputs.register_hook(lambda grad: seen.append(grad.abs().sum().item()))
    loss = F.cross_entropy(outputs, targets)
    l1 = sum(p.abs().sum() for p in net.parameters())
    (loss + 1e-4 * l1).backward()
    optimizer.step()
    schedule.step()
    rates = " ".join(f"{group['lr']:.6f}" for group in optimizer.param_groups)
    print(f"step {step} loss {loss.item():.6f} l1 {l1.item():.4f} hook {seen[-1]:.6f} lr {rates}")

a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
b = (a**3).sum() + a.prod()
(first,) = torch.autograd.grad(b, a, retain_graph=True)
b.backward()
print(first.tolist(), a.grad.tolist(), torch.equal(first, a.grad))
b = a * 2
b.retain_grad()
b.backward(gradient=torch.tensor([1.0, 0.1, 0.01]))
print(b.grad.tolist(), a.grad.tolist(), b.grad_fn is not None, a.grad_fn)
with torch.set_grad_enabled(False):
    print((a * 2).requires_grad, torch.is_grad_enabled())
w = nn.Parameter(torch.arange(6.0).view(2, 3))
z = (w.masked_fill(w > 3, 0.0).cumsum(dim=1) * torch.tensor([[1.0], [-1.0]])).logsumexp(dim=0).sum()
z.backward()
print(f"{z.item():.5f}", [[f"{v:.4f}" for v in row] for row in w.grad.tolist()])
try:
    (a * 2).backward()
except RuntimeError as error:
    print("RuntimeError", "scalar" in str(error))
