"""A course project: a VGG with and without normalisation, learning rates compared, gradients from step to step."""

import numpy as np
import torch
from fixed_numbers import fill, images
from torch import nn


def init_weights_(m):
    if isinstance(m, nn.Conv2d):
        nn.init.xavier_normal_(m.weight)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.ones_(m.weight)
        nn.init.zeros_(m.bias)
    elif isinstance(m, nn.Linear):
        nn.init.xavier_normal_(m.weight)
        nn.init.zeros_(m.bias)


def get_number_of_parameters(model):
    parameters_n = 0
    for parameter in model.parameters():
        parameters_n += np.prod(parameter.shape).item()
    return parameters_n


class VGG(nn.Module):
    def __init__(self, inp_ch=3, num_classes=4, norm=False, init_weights=True):
        super().__init__()

        def stage(a, b):
            layers = [nn.Conv2d(a, b, kernel_size=3, padding=1, bias=not norm)] + ([nn.BatchNorm2d(b)] if norm else [])
            return layers + [nn.ReLU(True), nn.MaxPool2d(kernel_size=2, stride=2)]

        self.features = nn.Sequential(*stage(inp_ch, 8), *stage(8, 16), *stage(16, 16))
        self.classifier = nn.Sequential(nn.Linear(16 * 2 * 2, 16), nn.ReLU(), nn.Linear(16, num_classes))
        if init_weights:
            self._init_weights()

    def forward(self, x):
        x = self.features(x)
        x = self.classifier(x.view(-1, 16 * 2 * 2))
        return x

    def _init_weights(self):
        for m in self.modules():
            init_weights_(m)


def get_accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        correct = (model(x).argmax(dim=1) == y).sum().item()
    model.train()
    return correct / y.size(0)


def train(model, optimizer, criterion, x, y, steps):
    losses_list, grads = [], []
    model.train()
    for step in range(steps):
        batch = slice(step % 4 * 16, step % 4 * 16 + 16)
        optimizer.zero_grad()
        prediction = model(x[batch])
        loss = criterion(prediction, y[batch])
        loss.backward()
        grads.append(model.classifier[2].weight.grad.clone())
        losses_list.append(loss.item())
        optimizer.step()
    return losses_list, grads


x, y = map(torch.from_numpy, images(64, seed=21))
criterion = nn.CrossEntropyLoss()
for norm in (False, True):
    curves = []
    for lr in [1e-3, 2e-3, 5e-4]:
        model = fill(VGG(norm=norm))
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        losses, grads = train(model, optimizer, criterion, x, y, 8)
        curves.append(losses)
        distance = [torch.dist(a, b).item() for a, b in zip(grads, grads[1:])]
        cosine = torch.cosine_similarity(grads[0].flatten(), grads[-1].flatten(), dim=0)
        print(f"norm {norm} lr {lr} last {losses[-1]:.6f} distance {np.mean(distance):.5f} cosine {cosine:.4f}")
    curves = np.array(curves)
    gap = curves.max(axis=0) - curves.min(axis=0)
    print(get_number_of_parameters(model), f"gap {gap.mean():.6f} accuracy {get_accuracy(model, x, y):.4f}")

    # The landscape along one direction that is scaled as each filter is.
    start = [p.detach().clone() for p in model.parameters()]
    random = np.random.default_rng(1)
    direction = [torch.as_tensor(random.standard_normal(tuple(p.shape)), dtype=torch.float32) for p in start]
    for d, p in zip(direction, start):
        if d.dim() <= 1:
            d.fill_(0)
        else:
            for filter_, weight in zip(d, p):
                filter_.mul_(weight.norm() / (filter_.norm() + 1e-10))
    model.eval()
    for alpha in (-0.5, 0.0, 0.5):
        for p, s, d in zip(model.parameters(), start, direction):
            p.data = s + alpha * d
        with torch.no_grad():
            print(f"alpha {alpha} loss {criterion(model(x), y).item():.5f}")
