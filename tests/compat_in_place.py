"""Programs that write into tensors, in the language of PyTorch: `f(torch, x)` gives a loss of the leaf x (3, 4)."""


def result_written_by_an_operator(torch, x):
    y = x * 2
    same = y
    y += x
    assert y is same
    return (y**2).sum()


def column_of_a_result_assigned(torch, x):
    y = x * 2
    y[:, 1] = x[:, 0] * 3
    return (y**2).sum()


def view_of_a_result_multiplied(torch, x):
    y = x * 2
    y[:, 1].mul_(x[:, 2])
    return (y**2).sum()


def slice_of_a_result_added_to(torch, x):
    y = x.sin()
    y[:, 1:3] += x[:, :2]
    return (y**2).sum()


def blank_filled_column_by_column(torch, x):
    y = torch.zeros(3, 4, dtype=torch.float64)
    for i in range(4):
        y[:, i] = x[:, i] * (i + 1)
    return (y**2).sum()


def blank_written_through_views(torch, x):
    y = torch.zeros(3, 4, dtype=torch.float64)
    y[1].copy_(x[0] * 2)
    y[2:].add_(x[:1])
    return (y**3).sum()


def number_added_up(torch, x):
    total = torch.zeros((), dtype=torch.float64)
    for row in x:
        total += (row**2).sum()
    return total


def view_follows_its_base(torch, x):
    y = x * 2
    flat = y.view(-1)
    y.mul_(x)
    return (flat**3).sum()


def view_follows_another_view(torch, x):
    y = x * 2
    flat, turned = y.view(-1), y.t()
    flat[1:5] *= x[0]
    turned[2].add_(x[:, 0])
    return (y**2).sum() + (flat**3).sum() + turned[0].sum()


def mask_assigned(torch, x):
    y = x * 1
    y[y < 0] = 0
    return (y * y).sum()


def list_of_places_assigned(torch, x):
    y = x * 1
    y[[0, 2], [1, 3]] = x[1, :2]
    return (y**2).sum()


def relu_written_in_place(torch, x):
    y = x * 1
    y.relu_()
    return (y * y).sum()


def copy_of_a_transposed_one_assigned(torch, x):
    y = x.t().contiguous().view(-1)
    y[0] = 0
    return (y * y).sum()


def first_of_permuted_axes_doubled(torch, x):
    y = (x * 1).view(3, 2, 2).permute(2, 0, 1)
    y[0] *= 2
    return (y**2).sum()


def view_of_a_view_of_a_view(torch, x):
    y = x * 1
    y[1:][:, 2:][0].mul_(5)
    return (y**2).sum()


def rows_of_a_result(torch, x):
    y = x * 1
    for i in range(3):
        y[i].add_(x[0])
    return (y**2).sum()


def everything_in_a_row(torch, x):
    y = x.clone().add_(1).mul_(x).sub_(0.5).div_(2).pow_(2).clamp_(0.01, 2)
    return y.sqrt_().sum()


def scattered(torch, x):
    y = torch.zeros(3, 4, dtype=torch.float64)
    y.scatter_(1, torch.tensor([[1, 0], [2, 3], [0, 1]]), x[:, :2] * 2)
    y.index_add_(0, torch.tensor([0, 0]), x[1:])
    return (y**2).sum()


def masked_fill(torch, x):
    y = x * 2
    y.masked_fill_(x > 0.5, 3.0)
    return (y**2).sum()


PROGRAMS = [
    value for value in list(globals().values()) if callable(value) and getattr(value, "__module__", "") == __name__
]
