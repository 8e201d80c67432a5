"""Things that belong together. In: pairs, out: groups, each known by its first member (a union-find)."""


class Groups:
    """The numbers below `count`, each in a group of its own until it is joined to another one."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low

    def first(self, one: int) -> int:
        """The smallest number in the group of `one`: equal for two of the same group."""
        parent = self._parent
        while parent[one] != one:
            parent[one] = parent[parent[one]]  # halves the way for the next one
            one = parent[one]
        return one
