"""Which mazes exist: seeded generators, maps as text, and their train and test split."""

from __future__ import annotations

import functools
import itertools
import zlib
from dataclasses import dataclass

import numpy as np

from .tiles import TILES, box_table, pack, with_rim

KINDS = ("grid", "rooms")
SPLITS = ("random", "train", "test", "ood")
WALL = 2
"""Tiles of a wall's thickness."""
DOOR = 8
"""Tiles of a door's width, as in Two Rooms."""
TEST_SHARE = 5
"""One in so many mazes is a test maze; its walls alone decide."""
THICK, NARROW_DOOR = 4, 4
"""Tiles of walls and of doors in layouts out of the distribution, whose passages are narrower."""
LARGER = 2
"""Layouts out of the distribution have up to so many more cells a side, or more rooms."""
MOST_THICK = 7
"""Cells along a side at most, where walls are thick: passages of 4 tiles."""


@dataclass(frozen=True, eq=False)
class Maze:
    """An arrangement of walls, and the cells between them in which tasks begin and end."""

    solid: np.ndarray
    """Boolean (56, 56), rows down."""
    cells: np.ndarray
    """Integers (C, 4): low x, low y, high x, high y of free boxes, counted in tiles."""
    hops: np.ndarray
    """(C, C): how many cells the shortest way from one to another enters; infinite without one."""

    @functools.cached_property
    def layout(self) -> np.ndarray:
        """The tiles as the layout of an episode (168,), see `tiles.pack`."""
        return pack(self.solid)

    @functools.cached_property
    def boxes(self) -> np.ndarray:
        """What `TileWalls` looks up, see `tiles.box_table`."""
        return box_table(self.solid)


@dataclass(frozen=True)
class Family:
    """What generated mazes have in common.

    Args:
        kind: "grid" or "rooms".
        cells: fewest and most cells along a side of a grid.
        rooms: fewest and most rooms.
        loops: chance that a wall beyond a spanning tree has a passage too.
    """

    kind: str
    cells: tuple[int, int]
    rooms: tuple[int, int]
    loops: float


@functools.lru_cache(maxsize=5000)
def generate(family: Family, split: str, number: int) -> Maze:
    """One of a split's mazes; the same number is always the same maze.

    Train and test mazes are told apart by their walls alone, so that none is in both.
    """
    seed = (KINDS.index(family.kind), SPLITS.index(split), number)
    rng = np.random.default_rng(seed)
    while True:
        maze = _drawn(family, rng, outside=split == "ood", narrow=number % 2 == 1)
        in_test = zlib.crc32(np.packbits(maze.solid).tobytes()) % TEST_SHARE == 0
        if split in ("random", "ood") or in_test == (split == "test"):
            return maze


def _drawn(family: Family, rng: np.random.Generator, outside: bool, narrow: bool) -> Maze:
    """One of a family's mazes, or from outside of it, narrower or larger than all of them."""
    is_grid = family.kind == "grid"
    low, high = family.cells if is_grid else family.rooms
    if outside and not narrow:
        low, high = high + 1, high + LARGER
    narrow = outside and narrow
    if narrow and is_grid:
        low, high = min(low, MOST_THICK), min(high, MOST_THICK)
    count = int(rng.integers(low, high + 1))
    if is_grid:
        return grid(rng, count, family.loops, THICK if narrow else WALL)
    return rooms(rng, count, family.loops, NARROW_DOOR if narrow else DOOR)


def grid(rng: np.random.Generator, side: int, loops: float, thickness: int = WALL) -> Maze:
    """A maze of side x side cells: a random spanning tree, depth first, and some loops."""
    lines = np.rint(np.arange(1, side) * TILES / side).astype(int)
    lows = np.concatenate([[0], lines - thickness // 2 + thickness])
    highs = np.concatenate([lines - thickness // 2, [TILES]])
    cells = np.array([
        (lows[x], lows[y], highs[x], highs[y]) for y in range(side) for x in range(side)
    ])  # fmt: skip
    edges = [(c, c + 1) for c in range(side**2) if (c + 1) % side]
    edges += [(c, c + side) for c in range(side**2 - side)]
    return _carve(cells, _tree(rng, side), edges, rng, loops)


def _tree(rng: np.random.Generator, side: int) -> set[tuple[int, int]]:
    """Edges of a random spanning tree of a grid of cells."""
    path, seen, tree = [int(rng.integers(side**2))], set(), set()
    seen.add(path[0])
    while path:
        row, column = divmod(path[-1], side)
        near = [(row + r) * side + column + c for r, c in ((0, 1), (1, 0), (0, -1), (-1, 0))
                if 0 <= row + r < side and 0 <= column + c < side]  # fmt: skip
        near = [cell for cell in near if cell not in seen]
        if not near:
            path.pop()
            continue
        chosen = near[int(rng.integers(len(near)))]
        tree.add((min(path[-1], chosen), max(path[-1], chosen)))
        seen.add(chosen)
        path.append(chosen)
    return tree


def rooms(rng: np.random.Generator, count: int, loops: float, door: int = DOOR) -> Maze:
    """Rooms of different sizes, split off one after the other, with doors between neighbours."""
    while True:
        boxes = [(0, 0, TILES, TILES)]
        while len(boxes) < count:
            boxes.sort(key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
            left, top, right, bottom = boxes.pop()
            share = rng.uniform(0.35, 0.65)
            if right - left >= bottom - top:
                at = left + round(share * (right - left))
                boxes += [(left, top, at - 1, bottom), (at + 1, top, right, bottom)]
            else:
                at = top + round(share * (bottom - top))
                boxes += [(left, top, right, at - 1), (left, at + 1, right, bottom)]
        edges = [
            (a, b) for a, b in itertools.combinations(range(count), 2)
            if _shared(boxes[a], boxes[b]) >= NARROW_DOOR
        ]  # fmt: skip
        tree: set[tuple[int, int]] = set()
        part = list(range(count))
        for index in rng.permutation(len(edges)).tolist():
            a, b = edges[index]
            if part[a] != part[b]:
                tree.add((a, b))
                part = [part[a] if each == part[b] else each for each in part]
        if len(tree) == count - 1:
            return _carve(np.array(boxes), tree, edges, rng, loops, door)


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Tiles of the wall that two boxes share; 0 if they are no neighbours."""
    width, height = (min(first[k + 2], second[k + 2]) - max(first[k], second[k]) for k in (0, 1))
    return height if width == -WALL else width if height == -WALL else 0


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The box (4,) of wall between two neighbouring boxes, as wide as both of them are."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    return np.concatenate([np.where(low < high, low, high), np.where(low < high, high, low)])


def _carve(
    cells: np.ndarray,
    tree: set[tuple[int, int]],
    edges: list[tuple[int, int]],
    rng: np.random.Generator,
    loops: float,
    door: int = TILES,
) -> Maze:
    """Cells with passages between those that the tree joins, and some others."""
    solid = np.ones((TILES, TILES), dtype=bool)
    for left, top, right, bottom in cells.tolist():
        solid[top:bottom, left:right] = False
    passages = [edge for edge in edges if edge in tree or rng.random() < loops]
    for a, b in passages:
        box = _between(cells[a], cells[b])
        across = int(cells[a][2] <= cells[b][0] or cells[b][2] <= cells[a][0])  # the free axis
        length = box[2 + across] - box[across]
        if length > door:
            box[across] += rng.integers(length - door + 1)
            box[2 + across] = box[across] + door
        solid[box[1] : box[3], box[0] : box[2]] = False
    return Maze(solid, cells, _hops(len(cells), passages))


@functools.lru_cache(maxsize=100)
def from_text(text: str) -> Maze:
    """A maze from a map: rows of characters between newlines, "#" for walls.

    Raises:
        ValueError: if it is no map, or none of its cells can be left.
    """
    lines = [line.strip() for line in text.strip().split("\n")]
    rows, columns = len(lines), len(lines[0])
    if any(len(line) != columns for line in lines) or not 1 < max(rows, columns) <= TILES // 3:
        raise ValueError(
            f"a map must have rows of one length, 2 to {TILES // 3} cells each way, got {text!r}; "
            "fill the rows"
        )
    marks = np.rint(np.arange(max(rows, columns) + 1) * TILES / max(rows, columns)).astype(int)
    solid = np.ones((TILES, TILES), dtype=bool)
    numbers: dict[tuple[int, int], int] = {}
    cells: list[tuple[int, int, int, int]] = []
    for row, column in itertools.product(range(rows), range(columns)):
        if lines[row][column] != "#":
            numbers[row, column] = len(cells)
            cells.append((marks[column], marks[row], marks[column + 1], marks[row + 1]))
            solid[marks[row] : marks[row + 1], marks[column] : marks[column + 1]] = False
    edges = [
        (number, numbers[near])
        for (row, column), number in numbers.items()
        for near in ((row, column + 1), (row + 1, column))
        if near in numbers
    ]
    if not edges:
        raise ValueError(f"a map must have two free cells side by side, got {text!r}; free some")
    return Maze(solid, np.array(cells), _hops(len(cells), edges))


def from_tiles(solid: np.ndarray) -> Maze:
    """A maze of any tiles: its cells are some of those with free neighbours on all sides."""
    rim = with_rim(solid)
    taken = np.logical_or.reduce(
        [rim[r : r + TILES, c : c + TILES] for r in range(3) for c in range(3)]
    )
    places = np.argwhere(~taken)[:: max(1, int((~taken).sum()) // 200)]
    cells = np.concatenate([places[:, ::-1], places[:, ::-1] + 1], axis=1)
    part = _components(~solid)[places[:, 0], places[:, 1]]
    hops = np.where(part[:, None] == part[None], 1.0, np.inf)
    np.fill_diagonal(hops, 0)
    return Maze(solid, cells, hops)


def _components(free: np.ndarray) -> np.ndarray:
    """Numbers (rows, columns) of the connected parts of free tiles."""
    part = np.where(free, np.arange(1, free.size + 1).reshape(free.shape), 0)
    while True:
        spread = part.copy()
        spread[1:] = np.maximum(spread[1:], part[:-1])
        spread[:-1] = np.maximum(spread[:-1], part[1:])
        spread[:, 1:] = np.maximum(spread[:, 1:], part[:, :-1])
        spread[:, :-1] = np.maximum(spread[:, :-1], part[:, 1:])
        spread = np.where(free, spread, 0)
        if (spread == part).all():
            return part
        part = spread


def _hops(count: int, edges: list[tuple[int, int]]) -> np.ndarray:
    hops = np.full((count, count), np.inf)
    np.fill_diagonal(hops, 0)
    for a, b in edges:
        hops[a, b] = hops[b, a] = 1
    return all_pairs(hops)


def all_pairs(lengths: np.ndarray) -> np.ndarray:
    """Lengths (N, N) of the shortest ways in a graph (N, N) of lengths (Floyd and Warshall)."""
    for through in range(len(lengths)):
        lengths = np.minimum(lengths, lengths[:, through, None] + lengths[None, through])
    return lengths
