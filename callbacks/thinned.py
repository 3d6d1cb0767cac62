"""Thinned: what was seen over a run, within a bound."""

from typing import Any, Generic, TypeVar

Seen = TypeVar("Seen")


class Thinned(Generic[Seen]):
    """What was seen at the moments of a run: at most so many, however long the run is.

    When there are more, every second is dropped, over the whole run alike; the first and the newest are always there.

    Args:
        most: How many moments are kept, in memory and in checkpoints.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[tuple[int, Seen]] = []
        """Iterations, and what was seen."""
        self.n_seen = 0
        self._stride = 1

    def add(self, iteration: int, seen: Seen) -> None:
        """Adds the present. The newest goes again if it does not stand on the stride, or is of the same iteration."""
        again = bool(self.kept) and self.kept[-1][0] == iteration  # a checkpoint may be seen twice
        if again or (self.n_seen - 1) % self._stride:
            self.kept = self.kept[:-1]
        self.n_seen += not again
        while len(self.kept) >= self.most:
            self._stride *= 2
            self.kept = self.kept[::2]
        self.kept.append((iteration, seen))

    @property
    def iterations(self) -> list[int]:
        """When it was seen."""
        return [iteration for iteration, _ in self.kept]

    @property
    def seen(self) -> list[Seen]:
        """What was seen, from the first to the newest."""
        return [seen for _, seen in self.kept]

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"kept": list(self.kept), "n_seen": self.n_seen, "stride": self._stride}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it from a checkpoint."""
        self.kept = [tuple(entry) for entry in state_dict["kept"]]
        self.n_seen, self._stride = state_dict["n_seen"], state_dict["stride"]
