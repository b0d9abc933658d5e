"""Residual networks as collections for CIFAR-10 write them: shortcuts by strides and padding, topk, meters, resume."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.init as init
from fixed_numbers import fill, images
from torch.utils.data import DataLoader, TensorDataset


def _weights_init(m):
    if isinstance(m, nn.Linear) or isinstance(m, nn.Conv2d):
        init.kaiming_normal_(m.weight)


class LambdaLayer(nn.Module):
    def __init__(self, lambd):
        super(LambdaLayer, self).__init__()
        self.lambd = lambd

    def forward(self, x):
        return self.lambd(x)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1, option="A"):
        super(BasicBlock, self).__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            if option == "A":
                self.shortcut = LambdaLayer(
                    lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4), "constant", 0)
                )
            elif option == "B":
                self.shortcut = nn.Sequential(
                    nn.Conv2d(in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False),
                    nn.BatchNorm2d(self.expansion * planes),
                )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        out = F.relu(out)
        return out


class ResNet(nn.Module):
    def __init__(self, block, num_blocks, option, num_classes=4):
        super(ResNet, self).__init__()
        self.in_planes = 8
        self.option = option
        self.conv1 = nn.Conv2d(3, 8, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = self._make_layer(block, 8, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 16, num_blocks[1], stride=2)
        self.layer3 = self._make_layer(block, 32, num_blocks[2], stride=2)
        self.linear = nn.Linear(32, num_classes)
        self.apply(_weights_init)

    def _make_layer(self, block, planes, num_blocks, stride):
        strides = [stride] + [1] * (num_blocks - 1)
        layers = []
        for stride in strides:
            layers.append(block(self.in_planes, planes, stride, self.option))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer1(out)
        out = self.layer2(out)
        out = self.layer3(out)
        out = F.avg_pool2d(out, out.size()[3])
        out = out.view(out.size(0), -1)
        out = self.linear(out)
        return out


class AverageMeter(object):
    def __init__(self):
        self.reset()

    def reset(self):
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count


def accuracy(output, target, topk=(1,)):
    maxk = max(topk)
    batch_size = target.size(0)
    _, pred = output.topk(maxk, 1, True, True)
    pred = pred.t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    res = []
    for k in topk:
        correct_k = correct[:k].reshape(-1).float().sum(0)
        res.append(correct_k.mul_(100.0 / batch_size))
    return res


def run(option, folder):
    model = torch.nn.DataParallel(fill(ResNet(BasicBlock, [1, 1, 1], option)))
    print(sum(p.numel() for p in model.parameters() if p.requires_grad), "parameters")
    loader = DataLoader(TensorDataset(*map(torch.from_numpy, images(96, seed=1))), batch_size=16, pin_memory=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9, weight_decay=1e-4)
    lr_scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2], last_epoch=-1)
    path = os.path.join(folder, "checkpoint.th")
    for epoch in range(2):
        print("current lr {:.5e}".format(optimizer.param_groups[0]["lr"]))
        losses, top1, top2 = AverageMeter(), AverageMeter(), AverageMeter()
        model.train()
        for input, target in loader:
            output = model(input)
            loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            output = output.float()
            loss = loss.float()
            prec1, prec2 = accuracy(output.data, target, topk=(1, 2))
            losses.update(loss.item(), input.size(0))
            top1.update(prec1.item(), input.size(0))
            top2.update(prec2.item(), input.size(0))
        lr_scheduler.step()
        print(f"Epoch {epoch} Loss {losses.avg:.6f} Prec@1 {top1.avg:.3f} Prec@2 {top2.avg:.3f}")
        state = {"epoch": epoch + 1, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, path)

    checkpoint = torch.load(path)
    again = torch.nn.DataParallel(ResNet(BasicBlock, [1, 1, 1], option))
    again.load_state_dict(checkpoint["state_dict"])
    optimizer = torch.optim.SGD(again.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    optimizer.load_state_dict(checkpoint["optimizer"])
    print("resumed at epoch", checkpoint["epoch"], "with lr", optimizer.param_groups[0]["lr"])
    for input, target in loader:
        loss = criterion(again(input), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"resumed: loss {loss.item():.6f}")
    again.eval()
    with torch.no_grad():
        print(f"evaluated: loss {criterion(again(input), target).item():.6f}")
    print("running mean", [round(v, 5) for v in again.module.bn1.running_mean.tolist()[:3]])
    print("batches", again.module.bn1.num_batches_tracked.item())


with tempfile.TemporaryDirectory() as folder:
    for option in "AB":
        run(option, folder)
