"""What a network looks at: hooks, gradients of inputs, backward from one logit, saliency, occlusion, a fooling image."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from fixed_numbers import fill, images


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential()
        channels = 3
        for i, width in enumerate((8, 12)):
            self.features.add_module(f"conv{i}", nn.Conv2d(channels, width, 3, padding=1, bias=False))
            self.features.add_module(f"norm{i}", nn.BatchNorm2d(width))
            self.features.add_module(f"relu{i}", nn.ReLU())
            self.features.add_module(f"pool{i}", nn.MaxPool2d(2))
            channels = width
        self.classifier = nn.Linear(12 * 16, 4)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class GradCAM:
    def __init__(self, model, target_layer):
        self.model = model
        self.gradient = None
        self.activations = None
        self.handles = [
            target_layer.register_forward_hook(self.forward_hook),
            target_layer.register_full_backward_hook(self.backward_hook),
        ]

    def forward_hook(self, module, input, output):
        self.activations = output.detach()

    def backward_hook(self, module, grad_input, grad_output):
        self.gradient = grad_output[0].detach()

    def __call__(self, image, class_idx=None):
        self.model.eval()
        logits = self.model(image.unsqueeze(0))
        if class_idx is None:
            class_idx = logits.argmax(dim=1).item()
        self.model.zero_grad()
        logits[0, class_idx].backward()
        weights = self.gradient.mean(dim=[2, 3], keepdim=True)
        cam = torch.sum(weights * self.activations, dim=1, keepdim=True)
        cam = F.relu(cam)
        cam = F.interpolate(cam, size=image.shape[1:], mode="bilinear", align_corners=False)
        cam = cam.squeeze()
        cam -= cam.min()
        cam /= cam.max() + 1e-8
        return cam.cpu().numpy(), class_idx

    def remove(self):
        for handle in self.handles:
            handle.remove()


def compute_saliency(model, x, y):
    model.eval()
    x = x.clone().requires_grad_()
    scores = model(x)
    correct = scores.gather(1, y.view(-1, 1)).squeeze()
    correct.backward(torch.ones_like(correct))
    saliency, _ = torch.max(x.grad.abs(), dim=1)
    return saliency


def make_fooling_image(x, target_y, model):
    x_fooling = x.clone().unsqueeze(0).requires_grad_()
    for i in range(200):
        scores = model(x_fooling)
        if scores.data.max(1)[1][0].item() == target_y:
            break
        scores[0, target_y].backward()
        g = x_fooling.grad.data
        x_fooling.data += 0.2 * g / g.norm()
        x_fooling.grad.zero_()
    return x_fooling.detach(), i


def total_variation(image):
    return torch.sum((image[:, :, 1:] - image[:, :, :-1]) ** 2) + torch.sum((image[:, 1:] - image[:, :-1]).pow(2))


x, y = map(torch.from_numpy, images(48, seed=11))
model = fill(CNN())
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(12):
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.6f}")

cam = GradCAM(model, model.features.relu1)
for i in range(3):
    heat, label = cam(x[i])
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    print(f"class {label} mean {heat.mean():.5f} at {row} {column} norm {cam.gradient.norm():.5f}")
cam.remove()

for p in model.parameters():
    p.requires_grad_(False)
saliency = compute_saliency(model, x[:4], y[:4])
print(saliency.shape, [f"{v:.5f}" for v in saliency.mean(dim=(1, 2)).tolist()])
fooled, steps = make_fooling_image(x[0], (y[0].item() + 1) % 4, model)
print("fooled after", steps, "steps, moved by", f"{torch.dist(fooled[0], x[0]).item():.4f}")

blank = torch.zeros(3, 16, 16, requires_grad=True)
optimizer = torch.optim.SGD([blank], lr=0.5)
for step in range(5):
    optimizer.zero_grad()
    target = model(blank[None])[0, 2] - 0.01 * total_variation(blank) - 1e-3 * torch.norm(blank) ** 2
    (-target).backward()
    optimizer.step()
print(f"dream: {target.item():.5f}, values {blank.min().item():.4f} to {blank.max().item():.4f}")
