from standin_torch.utils import data as data
