class ToTensor:
    pass


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms
