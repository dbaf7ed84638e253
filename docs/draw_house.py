"""
Draws docs/images/house.svg: the folders of sb3_fpac and who imports whom, as docs/architecture.md shows it.

The boxes and their texts are the list in docs/architecture.md. The arrows are the import statements of the package. Run it
after either has changed: ``python docs/draw_house.py``.
"""

import ast
import re
from html import escape
from itertools import pairwise
from math import fsum
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "house.svg"
PACKAGE = ROOT / "sb3_fpac"

Arrow = tuple[str, str]

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 196, 76, 28, 44, 24
LETTERS = 29  # of the small text in one line of a box


def read_floors(page: str) -> dict[str, str]:
    """
    Read the numbered list of docs/architecture.md.

    :param page: The text of the page; an entry is ``1. `cli`: what it answers``
    :return: What each folder or module answers, the top floor first
    """
    return dict(re.findall(r"^\d+\. `(\w+)`: (.+)$", page, re.MULTILINE))


def imported_names(path: Path, package: Path) -> set[tuple[str, int]]:
    """
    Read the import statements of a file, those inside functions and under ``TYPE_CHECKING`` included, and its calls of
    ``import_module``.

    :param path: A Python file of the package
    :param package: The package's folder
    :return: What it imports and in which line; ``from a import b`` is ``"a.b"``
    """
    folders = path.relative_to(package.parent).parts[:-1]
    names: set[tuple[str, int]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                found = [alias.name for alias in node.names]
            case ast.ImportFrom():
                relative = folders[: len(folders) - node.level + 1] if node.level else ()
                module = ".".join((*relative, *([node.module] if node.module else [])))
                found = [f"{module}.{alias.name}" for alias in node.names]
            case ast.Call(func=ast.Name("import_module"), args=[ast.Constant(str(name)), *_]):
                found = [name]
            case ast.Call(func=ast.Name("import_module"), args=[ast.JoinedStr([ast.Constant(str(name)), *_]), *_]):
                found = [name.rstrip(".")]  # f"sb3_fpac.cli.{command}"
            case _:
                continue
        names |= {(name, node.lineno) for name in found}
    return names


def floor_of(name: str, package: Path) -> str:
    """
    Collapse a module to the floor that it stands on.

    :param name: Full name of a module, or of something in one: ``"sb3_fpac.features.encoder"``
    :param package: The package's folder
    :return: Its folder, or its module if it lies in no folder: ``"features"``. ``"__init__"`` for names that the package
        itself exports
    """
    part = (name.split(".")[1:] or ["__init__"])[0]
    return part if (package / part).is_dir() or (package / f"{part}.py").is_file() else "__init__"


def read_arrows(package: Path) -> dict[Arrow, list[str]]:
    """
    Read all imports between the floors of a package.

    :param package: Its folder
    :return: From which floor to which, and where: ``{("fpac", "buffers"): ["fpac/fpac.py:17", …]}``
    """
    arrows: dict[Arrow, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        source = place.parts[0].removesuffix(".py")
        for name, line in sorted(imported_names(path, package), key=lambda found: found[1]):
            target = floor_of(name, package)
            if name.split(".")[0] == package.name and target != source:
                places = arrows.setdefault((source, target), [])
                if f"{place.as_posix()}:{line}" not in places:
                    places.append(f"{place.as_posix()}:{line}")
    return arrows


def reduce_arrows(arrows: set[Arrow]) -> set[Arrow]:
    """
    Leave out every arrow that a longer way already implies (transitive reduction).

    :param arrows: Those of a graph without cycles
    :return: Those that are left
    """

    def reaches(start: str, end: str, without: Arrow) -> bool:
        following = [b for a, b in arrows if a == start and (a, b) != without]
        return end in following or any(reaches(middle, end, without) for middle in following)

    return {arrow for arrow in arrows if not reaches(*arrow, without=arrow)}


def place_rows(names: list[str], arrows: set[Arrow]) -> list[list[str]]:
    """
    Put every box above all that it imports, and what nobody imports on the top row.

    :param names: All boxes
    :param arrows: Between them, without cycles
    :return: The rows, the lowest first
    """
    height: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((measure(b) for a, b in arrows if a == name), default=-1)
        return height[name]

    top = max(map(measure, names))
    imported = {b for _, b in arrows}
    return [[name for name in names if (height[name] if name in imported else top) == row] for row in range(top + 1)]


def spread(wishes: list[float], widths: list[float]) -> list[float]:
    """
    Place boxes side by side, as near as they can be to where they want to be (least squares).

    :param wishes: The wished centre of each, from left to right
    :param widths: Of each, with the gap
    :return: The centre of each
    """
    offsets = [fsum(widths[:i]) + widths[i] / 2 for i in range(len(widths))]
    blocks: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        blocks.append([wish - offset])
        while len(blocks) > 1 and fsum(blocks[-2]) / len(blocks[-2]) > fsum(blocks[-1]) / len(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [fsum(block) / len(block) for block in blocks for _ in block]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def lay_out(rows: list[list[str]], arrows: set[Arrow]) -> tuple[dict[str, tuple[float, int]], list[list[str]]]:
    """
    Order the boxes of each row so that few arrows cross, and place them (Sugiyama's method). Sums are exact (``fsum``),
    so every version of Python draws the same picture.

    :param rows: The lowest first
    :param arrows: All of them downwards
    :return: For each box and each bend of an arrow its x and its row; and the way of every arrow through them
    """
    row_of = {name: i for i, row in enumerate(rows) for name in row}
    layers = [list(row) for row in rows]
    ways = []
    for a, b in sorted(arrows):
        bends = [f"{a}>{b}@{row}" for row in range(row_of[a] - 1, row_of[b], -1)]
        for bend in bends:
            layers[int(bend.split("@")[1])].append(bend)
        ways.append([a, *bends, b])
    steps = [step for way in ways for step in pairwise(way)]
    below: dict[str, list[str]] = {name: [b for a, b in steps if a == name] for layer in layers for name in layer}
    above: dict[str, list[str]] = {name: [a for a, b in steps if b == name] for layer in layers for name in layer}

    def crossings() -> int:
        order = {name: i for layer in layers for i, name in enumerate(layer)}
        pairs = [((order[a], order[b]), (order[c], order[d])) for a, b in steps for c, d in steps if level[a] == level[c]]
        return sum(p[0] < q[0] and p[1] > q[1] for p, q in pairs)

    level = {name: i for i, layer in enumerate(layers) for name in layer}
    best, fewest = [list(layer) for layer in layers], crossings()
    for sweep in range(24):
        upwards = sweep % 2 == 0
        for layer in layers if upwards else layers[::-1]:
            near = below if upwards else above
            order = {name: i / len(other) for other in layers for i, name in enumerate(other)}
            layer.sort(key=lambda name: fsum(order[n] for n in near[name]) / len(near[name]) if near[name] else order[name])
        if crossings() < fewest:
            best, fewest = [list(layer) for layer in layers], crossings()
    x = {name: 0.0 for layer in best for name in layer}
    for _ in range(40):
        for layer in best + best[::-1]:
            near_x = [[x[n] for n in below[name] + above[name]] for name in layer]
            wishes = [fsum(xs) / len(xs) for xs in near_x]
            widths = [GAP_X if "@" in name else BOX_WIDTH + GAP_X for name in layer]
            x.update(zip(layer, spread(wishes, widths), strict=True))
    left = min(x[name] - (0 if "@" in name else BOX_WIDTH / 2) for name in x)
    return {name: (x[name] - left + MARGIN, level[name]) for name in x}, ways


def draw(floors: dict[str, str], arrows: set[Arrow]) -> str:
    """
    Draw the house.

    :param floors: As from :func:`read_floors`
    :param arrows: Between them
    :return: An SVG image
    """
    rows = place_rows(list(floors), arrows)
    places, ways = lay_out(rows, reduce_arrows(arrows))
    height = 2 * MARGIN + len(rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    width = round(max(x + (0 if "@" in name else BOX_WIDTH / 2) for name, (x, _) in places.items()) + MARGIN)

    def middle(name: str) -> float:
        return height - MARGIN - BOX_HEIGHT / 2 - places[name][1] * (BOX_HEIGHT + GAP_Y)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" text-anchor="middle" role="img">',
        "<title>The folders of sb3_fpac; every arrow is an import</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#64748b"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    for way in ways:
        x, y = places[way[0]][0], middle(way[0]) + BOX_HEIGHT / 2
        path = [f"M{x:.0f} {y:.0f}"]
        for name in way[1:]:
            next_x, top = places[name][0], middle(name) - BOX_HEIGHT / 2
            path.append(f"C{x:.0f} {y + GAP_Y / 2:.0f} {next_x:.0f} {top - GAP_Y / 2:.0f} {next_x:.0f} {top:.0f}")
            if "@" in name:
                path.append(f"V{top + BOX_HEIGHT:.0f}")
            x, y = next_x, top + BOX_HEIGHT
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="#64748b" stroke-width="1.5" marker-end="url(#head)"/>')
    for name, question in floors.items():
        x, y = places[name][0], middle(name)
        parts.append(
            f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" '
            'fill="#eff6ff" stroke="#1d4ed8" stroke-width="1.5"/>'
        )
        lines = wrap(question.replace("`", ""), LETTERS)
        first = y - (len(lines) * 15) / 2 + 6
        parts.append(f'<text x="{x:.0f}" y="{first:.0f}" font-size="15" font-weight="bold" fill="#0f172a">{name}</text>')
        for i, line in enumerate(lines, start=1):
            parts.append(f'<text x="{x:.0f}" y="{first + 1 + 15 * i:.0f}" font-size="12" fill="#334155">{escape(line)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def house() -> str:
    """
    Draw the house as it stands.

    :return: An SVG image
    """
    return draw(read_floors(PAGE.read_text(encoding="utf-8")), set(read_arrows(PACKAGE)))


if __name__ == "__main__":
    PICTURE.write_text(house(), encoding="utf-8")
