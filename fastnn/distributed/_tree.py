"""The tree in which numbers of the shards are added: the same for every number of ranks.

Shards are the leaves. A node of size 2 ** k covers the shards j * 2 ** k to (j + 1) * 2 ** k - 1, and is the sum of its
two halves, the left one first. Where the shards end before a right half begins, the node is its left half alone.

    8 shards                    6 shards
           +                          +
       /       \\                  /      \\
     +           +              +          \\
    / \\         / \\           /   \\         \\
   +   +       +   +         +     +         +
  / \\ / \\     / \\ / \\       / \\   / \\       / \\
  0 1 2 3     4 5 6 7       0 1   2 3       4 5

A rank has neighbouring shards. It can add up every node that lies within them, a block; nodes that lie across ranks
wait until the blocks have been exchanged. So the additions, and the bits of their results, do not depend on who has
which shards.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

__all__ = ["Block", "Pile", "blocks_of", "shards_of_rank", "total"]

Value = TypeVar("Value")


class Block(NamedTuple):
    """A node of the tree all of whose shards exist: `size` of them, a power of two, from `start` on."""

    start: int
    size: int

    @property
    def is_right(self) -> bool:
        """Whether it is the right half of its parent."""
        return self.start // self.size % 2 == 1

    @property
    def left(self) -> "Block":
        """The left half of its parent, for a right one."""
        return Block(self.start - self.size, self.size)


def shards_of_rank(rank: int, ranks: int, shards: int) -> range:
    """The neighbouring shards that a rank computes; the numbers of two ranks differ by one at most.

    Example:
        >>> [list(shards_of_rank(rank, 3, 8)) for rank in range(3)]
        [[0, 1], [2, 3, 4], [5, 6, 7]]
    """
    return range(rank * shards // ranks, (rank + 1) * shards // ranks)


def blocks_of(shards: range) -> list[Block]:
    """The largest blocks that neighbouring shards consist of, in order.

    Example:
        >>> blocks_of(range(2, 5))
        [Block(start=2, size=2), Block(start=4, size=1)]
    """
    pile: Pile[None] = Pile(lambda left, right: None)
    for shard in shards:
        pile.push(shard, None)
    return list(pile.blocks)


class Pile(dict[Block, Value]):
    """Sums of the shards that have come so far: as few blocks as possible.

    Args:
        add: the sum of two values.
    Example:
        >>> pile = Pile(lambda left, right: f"({left}+{right})")
        >>> for shard in range(3):
        ...     pile.push(shard, str(shard))
        >>> list(pile.values())
        ['(0+1)', '2']
    """

    def __init__(self, add: Callable[[Value, Value], Value]) -> None:
        super().__init__()
        self._add = add

    @property
    def blocks(self) -> list[Block]:
        """The blocks, in order."""
        return list(self)

    def push(self, shard: int, value: Value) -> None:
        """Add the value of the next shard."""
        block = Block(shard, 1)
        while block.is_right and block.left in self:
            value = self._add(self.pop(block.left), value)
            block = Block(block.left.start, 2 * block.size)
        self[block] = value


def total(values: Mapping[Block, Value], shards: int, add: Callable[[Value, Value], Value]) -> Value:
    """The sum over all shards, of the blocks of all ranks.

    Args:
        values: blocks that together cover every shard once.
        shards: the number of shards.
        add: the sum of two values.
    Example:
        >>> add = lambda left, right: f"({left}+{right})"
        >>> whole = {Block(0, 4): "((0+1)+(2+3))", Block(4, 1): "4"}
        >>> parts = {Block(0, 1): "0", Block(1, 1): "1", Block(2, 2): "(2+3)", Block(4, 1): "4"}
        >>> total(whole, 5, add)
        '(((0+1)+(2+3))+4)'
        >>> total(parts, 5, add) == total(whole, 5, add)
        True
    """

    def node(start: int, size: int) -> Value:
        block = Block(start, size)
        if block in values:
            return values[block]
        if size == 1:
            raise ValueError(f"total: shard {start} of {shards} is in no block. Received: {list(values)}")
        half = size // 2
        left = node(start, half)
        return left if start + half >= shards else add(left, node(start + half, half))

    return node(0, 1 << (shards - 1).bit_length())
