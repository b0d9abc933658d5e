"""`Module.check`: trying a network out before it is trained."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn.models import Summary

__all__ = ["CheckMethod"]


class CheckMethod:
    """The method `check` of all modules."""

    def check(self, input_shape: Any, dtype: Any = np.float32, batch_size: int | None = 2) -> "Summary":
        """Try the network out on zeros, before it is trained: its layers as a table, with what would go wrong later.

        The network goes forward in eval mode, forward in training mode, and back from a gradient of ones. Parameters,
        gradients, buffers, modes and the random generator are afterwards what they were.

        The notes below the table tell of modules that the forward never calls, of parameters that no gradient reaches,
        of layers that make NaN or infinity of zeros, of batch norms that fail on a last batch of one image, and of an
        output that is not (N, classes).

        Args:
            input_shape: the shape of one example, (C, H, W) or (features,), or of a batch, (N, C, H, W); of several
                inputs a tuple of shapes, or a dict of them by the names of the arguments.
            dtype: of the input; an integer dtype for embeddings. For several inputs, one for all or one for each.
            batch_size: examples in a batch, put before shapes of one or three numbers; None takes every shape as that
                of a batch.
        Returns:
            A `models.Summary`, which prints as a table and has `notes`, a tuple of texts.
        Raises:
            ValueError, TypeError: what a layer refuses. Notes of the exception say in which layer, on which way the
                arrays came there, and what to write instead.
        Example:
            >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
            >>> print(model.check((3, 8, 8)))
            layer  kind     output shape  parameters  multiplications  memory
            -----------------------------------------------------------------
            0      Conv2d   2x8x8x8              224           27,648  4.1 kB
            1      ReLU     2x8x8x8                                    4.1 kB
            2      Flatten  2x512                                      4.1 kB
            3      Linear   2x10               5,130           10,240    80 B
            -----------------------------------------------------------------
            parameters       5,354 (21.4 kB)
            multiplications  37,888 forward for a batch of 2, 18,944 per image; training takes about three times as many
            memory           12.4 kB of activations for a batch of 2; 64.2 kB of parameters, gradients and momentum
            >>> try:
            ...     model.check((3, 16, 16))
            ... except ValueError as error:
            ...     print(*error.__notes__, sep="\\n")
            in 3, Linear(in_features=512, out_features=10, bias=True)
            input (2, 3, 16, 16) -> 0 Conv2d (2, 8, 16, 16) -> 1 ReLU (2, 8, 16, 16) -> 2 Flatten (2, 2048)
            2048 = 8 * 16 * 16, the channels, height and width before 2 Flatten; write Linear(2048, 10)
            >>> print(*nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).check((4,)).notes)
            1 (BatchNorm1d) fails in training on a batch of one: leave out a last batch that is smaller, drop_last=True
        """
        from fastnn.models.check import check

        return check(self, input_shape, dtype, batch_size)
