"""torchvision.transforms.v2: the same transforms, which may be called with an image and its label."""
