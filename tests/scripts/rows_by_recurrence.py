"""Images read row by row by recurrent networks, words by embeddings: LSTM, GRU, RNN, padded sequences, own cells."""

import torch
import torch.nn as nn
from fixed_numbers import fill, images
from torch.nn.utils.rnn import pad_sequence


class RowReader(nn.Module):
    def __init__(self, kind, input_size=48, hidden_size=12, num_layers=2, num_classes=4):
        super().__init__()
        self.rnn = getattr(nn, kind)(input_size, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3).reshape(x.size(0), x.size(2), -1)
        out, _ = self.rnn(x)
        return self.fc(out[:, -1, :])


class OwnCell(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.i2h = nn.Linear(inputs + hidden, hidden)
        self.hidden = hidden

    def forward(self, steps):
        h = torch.zeros(steps.shape[1], self.hidden)
        outputs = []
        for step in steps:
            h = torch.tanh(self.i2h(torch.cat((step, h), dim=1)))
            outputs.append(h)
        return torch.stack(outputs), h


class Words(nn.Module):
    def __init__(self, vocabulary=20, width=8):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.cell = OwnCell(width, width)
        self.out = nn.Linear(width, vocabulary, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, words):
        states, _ = self.cell(self.embedding(words).transpose(0, 1))
        return self.out(states).permute(1, 2, 0)


x, y = map(torch.from_numpy, images(32, seed=31))
for kind in ("LSTM", "GRU", "RNN"):
    model = fill(RowReader(kind))
    with torch.no_grad():
        for p in model.rnn.parameters():
            p.mul_(0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.98), amsgrad=kind == "GRU")
    for epoch in range(4):
        for xb, yb in zip(x.split(16), y.chunk(2)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xb), yb)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
            optimizer.step()
    print(f"{kind} loss {loss.item():.6f} norm {norm:.5f} correct {(model(x).argmax(1) == y).sum().item()}")
    print([name for name, _ in model.named_parameters()])

sentences = [torch.arange(1 + i % 3, 5 + i % 7) for i in range(9)]
words = pad_sequence(sentences, batch_first=True)
print(words.shape, words.dtype, (words != 0).sum(1).tolist())
model = fill(Words())
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
criterion = nn.CrossEntropyLoss(ignore_index=0)
for epoch in range(10):
    optimizer.zero_grad()
    scores = model(words[:, :-1])
    loss = criterion(scores, words[:, 1:])
    loss.backward()
    optimizer.step()
    if epoch % 3 == 0:
        print(f"words {epoch} loss {loss.item():.6f} perplexity {torch.exp(loss).item():.4f}")
print(model)
print(len(list(model.parameters())), sorted(model.state_dict()))
