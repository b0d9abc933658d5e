"""A transformer for images: patches by unfold and einsum, attention by hand and by the layer, warm-up, averages."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from fixed_numbers import fill, images


class Attention(nn.Module):
    def __init__(self, dim, heads=2, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.to_qkv = nn.Linear(dim, dim * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))

    def forward(self, x):
        b, n, d = x.shape
        qkv = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(b, n, self.heads, d // self.heads).transpose(1, 2) for t in qkv)
        dots = torch.matmul(q, k.transpose(-1, -2)) * self.scale
        attn = dots.softmax(dim=-1)
        out = torch.einsum("bhij,bhjd->bhid", attn, v)
        out = out.transpose(1, 2).contiguous().view(b, n, d)
        return self.to_out(out)


class Block(nn.Module):
    def __init__(self, dim, by_hand):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.by_hand = by_hand
        self.attention = Attention(dim) if by_hand else nn.MultiheadAttention(dim, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.GELU(), nn.Linear(dim * 2, dim))

    def forward(self, x):
        h = self.norm1(x)
        x = x + (self.attention(h) if self.by_hand else self.attention(h, h, h, need_weights=False)[0])
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, dim=12, patch=4, depth=2, by_hand=True, num_classes=4):
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, dim))
        self.blocks = nn.ModuleList(Block(dim, by_hand) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = self.embed(patches)
        x = torch.cat((self.cls_token.expand(x.size(0), -1, -1), x), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def warm_up_and_cosine(step, warm=3, total=12):
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def mixup(x, y, lam):
    order = torch.arange(len(x) - 1, -1, -1)
    targets = lam * F.one_hot(y, 4).float() + (1 - lam) * F.one_hot(y[order], 4)
    return x.mul(lam).add_(x[order], alpha=1 - lam), targets


x, y = map(torch.from_numpy, images(48, seed=81))
for by_hand in (True, False):
    model = fill(ViT(by_hand=by_hand))
    print(sum(p.numel() for p in model.parameters()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_cosine)
    ema = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(6):
        xb, targets = mixup(x[step % 3 :: 3], y[step % 3 :: 3], 0.75)
        loss = torch.sum(-targets * F.log_softmax(model(xb), dim=-1), dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        total = torch.norm(torch.stack([p.grad.norm() for p in model.parameters()]))
        optimizer.step()
        scheduler.step()
        for name, p in model.named_parameters():
            ema[name].mul_(0.9).add_(p.data, alpha=0.1)
        print(f"step {step} loss {loss.item():.6f} norm {total.item():.5f} lr {optimizer.param_groups[0]['lr']:.6f}")
    model.load_state_dict(ema, strict=True)
    model.eval()
    with torch.inference_mode():
        probabilities = torch.softmax(model(x), 1)
        print(f"averaged: {probabilities.max(1)[0].mean():.5f} {(probabilities.argmax(1) == y).sum().item()}")
q = x[:2, :, 0].reshape(2, 1, 3, 16)
print(f"{F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().item():.5f}")
