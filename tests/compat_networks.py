"""Networks as people write them: each function gets `torch` and gives a module."""

# ruff: noqa: UP008, UP031, UP034 (it is how they are written)


def lenet(torch):
    nn, F = torch.nn, torch.nn.functional

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x):
            x = self.pool(F.relu(self.conv1(x)))
            x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
            x = x.view(-1, self.num_flat_features(x))
            x = F.relu(self.fc1(x))
            x = F.relu(self.fc2(x))
            return self.fc3(x)

        def num_flat_features(self, x):
            size = 1
            for s in x.size()[1:]:
                size *= s
            return size

    return LeNet()


def resnet(torch):
    nn, F = torch.nn, torch.nn.functional

    class LambdaLayer(nn.Module):
        def __init__(self, lambd):
            super().__init__()
            self.lambd = lambd

        def forward(self, x):
            return self.lambd(x)

    class BasicBlock(nn.Module):
        expansion = 1

        def __init__(self, in_planes, planes, stride=1, option="A"):
            super().__init__()
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
                else:
                    self.shortcut = nn.Sequential(
                        nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(planes)
                    )

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += self.shortcut(x)
            return F.relu(out)

    class ResNet(nn.Module):
        def __init__(self, num_blocks, num_classes=10):
            super().__init__()
            self.in_planes = 8
            self.conv1 = nn.Conv2d(3, 8, kernel_size=3, stride=1, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
            self.layer1 = self._make_layer(8, num_blocks[0], 1, "A")
            self.layer2 = self._make_layer(16, num_blocks[1], 2, "A")
            self.layer3 = self._make_layer(32, num_blocks[2], 2, "B")
            self.linear = nn.Linear(32, num_classes)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                    nn.init.constant_(m.weight, 1)
                    nn.init.constant_(m.bias, 0)

        def _make_layer(self, planes, num_blocks, stride, option):
            strides = [stride] + [1] * (num_blocks - 1)
            layers = []
            for stride in strides:
                layers.append(BasicBlock(self.in_planes, planes, stride, option))
                self.in_planes = planes * BasicBlock.expansion
            return nn.Sequential(*layers)

        def forward(self, x):
            out = F.relu(self.bn1(self.conv1(x)))
            out = self.layer1(out)
            out = self.layer2(out)
            out = self.layer3(out)
            out = F.avg_pool2d(out, out.size()[3])
            out = out.view(out.size(0), -1)
            return self.linear(out)

    return ResNet([1, 2, 1])


def unet(torch):
    nn, F = torch.nn, torch.nn.functional

    class DoubleConv(nn.Module):
        def __init__(self, in_channels, out_channels, mid_channels=None):
            super().__init__()
            if not mid_channels:
                mid_channels = out_channels
            self.double_conv = nn.Sequential(
                nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(mid_channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            )

        def forward(self, x):
            return self.double_conv(x)

    class Down(nn.Module):
        def __init__(self, in_channels, out_channels):
            super().__init__()
            self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

        def forward(self, x):
            return self.maxpool_conv(x)

    class Up(nn.Module):
        def __init__(self, in_channels, out_channels, bilinear=True):
            super().__init__()
            if bilinear:
                self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
                self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
            else:
                self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
                self.conv = DoubleConv(in_channels, out_channels)

        def forward(self, x1, x2):
            x1 = self.up(x1)
            diff_y = x2.size()[2] - x1.size()[2]
            diff_x = x2.size()[3] - x1.size()[3]
            x1 = F.pad(x1, [diff_x // 2, diff_x - diff_x // 2, diff_y // 2, diff_y - diff_y // 2])
            return self.conv(torch.cat([x2, x1], dim=1))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.inc = DoubleConv(3, 4)
            self.down1 = Down(4, 8)
            self.down2 = Down(8, 8)
            self.up1 = Up(16, 8)
            self.up2 = Up(8, 4, bilinear=False)
            self.outc = nn.Conv2d(4, 2, kernel_size=1)

        def forward(self, x):
            x1 = self.inc(x)
            x2 = self.down1(x1)
            x3 = self.down2(x2)
            x = self.up1(x3, x2)
            x = self.up2(x, torch.cat([x1, x1], 1)[:, :4])
            return self.outc(x)

    return UNet()


def squeeze(torch):
    """Depthwise convolutions, squeeze and excitation, swish, group norm, attention over pixels."""
    nn = torch.nn

    class Swish(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(x)

    class SE(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.avg = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Sequential(nn.Linear(channels, 2), nn.ReLU(), nn.Linear(2, channels), nn.Sigmoid())

        def forward(self, x):
            b, c, _, _ = x.size()
            weight = self.fc(self.avg(x).view(b, c)).view(b, c, 1, 1)
            return x * weight.expand_as(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(4, 8), Swish(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
                nn.BatchNorm2d(8), nn.GELU(), SE(8), nn.Hardswish(), nn.AvgPool2d(2), nn.Conv2d(8, 12, 1), nn.PReLU(12),
            )  # fmt: skip
            self.norm = nn.LayerNorm(12)
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
            self.rnn = nn.GRU(12, 6, batch_first=True)
            self.classifier = nn.Linear(6, 10)
            self.temperature = nn.Parameter(torch.ones(1))

        def forward(self, x):
            x = self.features(x).flatten(2).transpose(1, 2)
            y = self.norm(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            _, h = self.rnn(x)
            return self.classifier(h[-1]) * self.temperature

    return Net()


def collection(torch):
    """Dense and shuffled blocks, blocks that activate first, standardised weights, a list of sizes, a transformer."""
    nn, F = torch.nn, torch.nn.functional
    cfg = {"tiny": [8, "M", 8, 12]}

    class PreActBlock(nn.Module):
        def __init__(self, in_planes, planes, stride=1):
            super(PreActBlock, self).__init__()
            self.bn1 = nn.BatchNorm2d(in_planes)
            self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
            if stride != 1 or in_planes != planes:
                self.shortcut = nn.Sequential(nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False))

        def forward(self, x):
            out = F.relu(self.bn1(x))
            shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
            out = self.conv1(out)
            out += shortcut
            return out

    class DenseBottleneck(nn.Module):
        def __init__(self, in_planes, growth_rate):
            super().__init__()
            self.bn = nn.BatchNorm2d(in_planes)
            self.relu = nn.ReLU(inplace=True)
            self.conv = nn.Conv2d(in_planes, growth_rate, 3, padding=1, bias=False)

        def forward(self, x):
            out = self.conv(self.relu(self.bn(x)))
            return torch.cat([out, x], 1)

    class ShuffleBlock(nn.Module):
        def __init__(self, groups=2):
            super().__init__()
            self.groups = groups

        def forward(self, x):
            N, C, H, W = x.size()
            g = self.groups
            return x.view(N, g, C // g, H, W).permute(0, 2, 1, 3, 4).reshape(N, C, H, W)

    class SplitBlock(nn.Module):
        def __init__(self, in_channels, split_ratio):
            super().__init__()
            self.split_ratio = split_ratio

        def forward(self, x):
            c = int(x.size(1) * self.split_ratio)
            return x[:, :c, :, :], x[:, c:, :, :]

    class WSConv2d(nn.Conv2d):
        def forward(self, x):
            weight = self.weight
            weight_mean = weight.mean(dim=1, keepdim=True).mean(dim=2, keepdim=True).mean(dim=3, keepdim=True)
            weight = weight - weight_mean
            std = weight.view(weight.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5
            weight = weight / std.expand_as(weight)
            return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def drop_path(x, p, training):
        if not training or p == 0:
            return x
        mask = torch.ones(x.shape[0], 1, 1, 1, dtype=x.dtype)
        return x.div(1 - p) * mask * (1 - p)

    class ChannelsLast(nn.Module):
        """LayerNorm over channels, with a scale of its own."""

        def __init__(self, dim):
            super().__init__()
            self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
            self.norm = nn.LayerNorm(dim, eps=1e-6)
            self.pwconv1 = nn.Linear(dim, 2 * dim)
            self.act = nn.GELU()
            self.pwconv2 = nn.Linear(2 * dim, dim)
            self.gamma = nn.Parameter(1e-1 * torch.ones((dim)), requires_grad=True)

        def forward(self, x):
            input = x
            x = self.dwconv(x)
            x = x.permute(0, 2, 3, 1)
            x = self.pwconv2(self.act(self.pwconv1(self.norm(x))))
            x = self.gamma * x
            x = x.permute(0, 3, 1, 2)
            return input + drop_path(x, 0.1, self.training)

    class Net(nn.Module):
        def __init__(self, num_classes=10):
            super(Net, self).__init__()
            self.features = self._make_layers(cfg["tiny"])
            self.blocks = nn.ModuleList()
            self.blocks.append(PreActBlock(12, 12))
            self.blocks.append(PreActBlock(12, 16, stride=2))
            self.dense = nn.Sequential()
            for i in range(2):
                self.dense.add_module("dense%d" % (i + 1), DenseBottleneck(16 + 4 * i, 4))
            self.shuffle, self.split = ShuffleBlock(), SplitBlock(24, 0.5)
            self.ws = WSConv2d(12, 12, 3, padding=1)
            self.next = ChannelsLast(24)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 24))
            layer = nn.TransformerEncoderLayer(24, 4, 32, dropout=0.0, batch_first=True, activation="gelu")
            self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
            self.dropout = nn.Dropout(p=0.0)
            self.head = nn.Linear(24, num_classes)
            self._initialize_weights()

        def _initialize_weights(self):
            for name, m in self.named_modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_uniform_(m.weight, a=5**0.5)
                    if m.bias is not None:
                        m.bias.data.zero_()
                elif isinstance(m, nn.Linear) and "encoder" not in name:
                    nn.init.xavier_normal_(m.weight.data)
                    nn.init.zeros_(m.bias)

        def _make_layers(self, cfg):
            layers, in_channels = [], 3
            for x in cfg:
                if x == "M":
                    layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
                else:
                    layers += [
                        nn.Conv2d(in_channels, x, kernel_size=3, padding=1), nn.BatchNorm2d(x), nn.ReLU(inplace=True)
                    ]  # fmt: skip
                    in_channels = x
            layers += [nn.AvgPool2d(kernel_size=1, stride=1)]
            return nn.Sequential(*layers)

        def forward(self, x):
            out = self.features(x)
            for block in self.blocks:
                out = block(out)
            out = self.shuffle(self.dense(out))
            a, b = self.split(out)
            out = self.next(torch.cat((self.ws(a), b), dim=1))
            tokens = out.flatten(2).transpose(1, 2)
            tokens = torch.cat((self.cls_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
            tokens = self.encoder(tokens)
            return self.head(self.dropout(tokens[:, 0]))

    return Net()


# Name -> network, shape of an image, shape of what it gives after the classes.
NETWORKS = {
    "lenet": (lenet, (1, 28, 28), ()),
    "resnet": (resnet, (3, 16, 16), ()),
    "unet": (unet, (3, 18, 22), (18, 22)),
    "squeeze": (squeeze, (3, 16, 16), ()),
    "collection": (collection, (3, 12, 12), ()),
}
