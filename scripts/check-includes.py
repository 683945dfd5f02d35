"""Checks that every #include of csrc/ follows the arrows of docs/design.md.

usage: check-includes.py [REPOSITORY]

The page has one line for each folder, "cpu → jpeg plan core", which is all that the folder may include besides
itself. Further rules of the page that includes can break: who may include Python, CUDA, libjpeg and Highway, that
what is included is there, and that no file includes itself by way of others.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ARROW = re.compile(r"^(?P<folder>[a-z]+) +→(?P<may>( +[a-z]+)*)$", re.MULTILINE)
INCLUDE = re.compile(r'^ *# *include *(?:"(?P<own>[^"]+)"|<(?P<foreign>[^>]+)>)', re.MULTILINE)
SUFFIXES = {".h", ".cpp", ".cu", ".inc"}
# Foreign headers, and the files that may have them.
ONLY_IN = {
    r"pybind11/|Python\.h": r"bindings/",
    r"jpeglib\.h|jerror\.h": r"jpeg/(turbo\.cpp|turbo_library\.(h|cpp)|transcode\.cpp)$",
    r"hwy/": r"(jpeg|cpu)/kernels/|bindings/build\.cpp$",
    r"cuda_runtime": r"cuda/(runtime_cuda\.cpp|kernels/kernels\.(cu|h))$",
}


def arrows(page: str) -> dict[str, set[str]]:
    """What each folder may include."""
    return {found["folder"]: {found["folder"], *found["may"].split()} for found in ARROW.finditer(page)}


def problems_of(name: str, text: str, allowed: dict[str, set[str]], there: set[str]) -> list[str]:
    """What is wrong with the includes of csrc/`name`."""
    problems = []
    folder = name.split("/")[0]
    for found in INCLUDE.finditer(text):
        own, foreign = found["own"], found["foreign"]
        if own is not None:
            if own not in there:
                problems.append(f'"{own}" is not in csrc/')
            elif own.split("/")[0] not in allowed.get(folder, set()):
                problems.append(f'"{own}" is against the arrows of docs/design.md')
        else:
            problems += [
                f"<{foreign}> belongs in {place} alone"
                for header, place in ONLY_IN.items()
                if re.match(header, foreign) and not re.match(place, name)
            ]
    return [f"csrc/{name}: {problem}" for problem in problems]


def cycle(includes: dict[str, list[str]]) -> list[str]:
    """A way from a file back to itself; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in includes.get(name, []):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    for name in includes:
        if found := visit(name, []):
            return found
    return []


def main(repository: Path) -> int:
    """1 if anything is wrong."""
    csrc = repository / "csrc"
    allowed = arrows((repository / "docs" / "design.md").read_text(encoding="utf-8"))
    files = {
        path.relative_to(csrc).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(csrc.rglob("*"))
        if path.suffix in SUFFIXES
    }
    there = set(files)
    folders = {name.split("/")[0] for name in files}
    problems = [f"docs/design.md has no arrow for csrc/{folder}" for folder in sorted(folders - allowed.keys())] + [
        f"docs/design.md has an arrow for {folder}, which is not there" for folder in sorted(allowed.keys() - folders)
    ]
    for name, text in files.items():
        problems += problems_of(name, text, allowed, there)
    # A file that Highway includes once more for each target names itself by a macro, which is no #include of its own.
    includes = {name: [f["own"] for f in INCLUDE.finditer(text) if f["own"] in there] for name, text in files.items()}
    if way := cycle(includes):
        problems.append("a circle of includes: " + " → ".join(way))
    print("\n".join(problems) if problems else f"{len(files)} files follow the arrows of docs/design.md")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent))
