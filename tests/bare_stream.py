"""Something in the place of standard error that is hardly a stream."""


class BareStream:
    """It has nothing but `write`: no isatty, no flush, no encoding."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
