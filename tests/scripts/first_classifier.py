"""The first image classifier of a tutorial: LeNet, SGD with momentum, accuracy of each class, saved and reloaded."""

import io

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from fixed_numbers import fill, images
from torch.utils.data import DataLoader, Dataset

classes = ("north", "east", "south", "west")


class Stripes(Dataset):
    def __init__(self, count, seed, transform=None):
        x, y = images(count, size=32, seed=seed)
        self.data = np.clip(127.5 + 60 * x, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        self.targets = y.tolist()
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, label = self.data[index], self.targets[index]
        if self.transform:
            image = self.transform(image)
        return image, label


def to_tensor(image):
    return (torch.from_numpy(image.transpose(2, 0, 1)).float().div(255) - 0.5) / 0.5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 4)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


trainloader = DataLoader(Stripes(96, 1, to_tensor), batch_size=4, shuffle=False, num_workers=2)
testloader = DataLoader(Stripes(60, 2, to_tensor), batch_size=4, shuffle=False, num_workers=2)

net = fill(Net())
print(net)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.002, momentum=0.9)

for epoch in range(2):
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 8 == 7:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 8:.6f}")
            running_loss = 0.0
print("Finished Training")

file = io.BytesIO()
torch.save(net.state_dict(), file)
file.seek(0)
net = Net()
net.load_state_dict(torch.load(file, weights_only=True))

dataiter = iter(testloader)
images_, labels = next(dataiter)
_, predicted = torch.max(net(images_), 1)
print("Predicted: ", " ".join(f"{classes[predicted[j]]:5s}" for j in range(4)))

correct_pred = {classname: 0 for classname in classes}
total_pred = {classname: 0 for classname in classes}
with torch.no_grad():
    for data in testloader:
        inputs, labels = data
        outputs = net(inputs)
        _, predictions = torch.max(outputs.data, 1)
        for label, prediction in zip(labels, predictions):
            if label == prediction:
                correct_pred[classes[label]] += 1
            total_pred[classes[label]] += 1
for classname, correct_count in correct_pred.items():
    print(f"Accuracy for class: {classname:5s} is {100 * correct_count / total_pred[classname]:.1f} %")
