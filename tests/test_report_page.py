"""results/report.py's page, as a browser shows it, and its colours."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_results import CHARACTERS, write_run

pytest.importorskip("matplotlib", reason="needs requirements-report.txt")

from results.page import COLOURS, heat_map
from results.report import main
from results.style import STYLES

PAGE = {"light": (255, 255, 255), "dark": (0x15, 0x18, 0x1C)}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of every model with one memory size, two seeds each, and a name that looks like HTML."""
    folder = tmp_path_factory.mktemp("results")
    for model in CHARACTERS:
        for seed in (0, 1):
            write_run(folder, model, n_memories=256 if model == "gem" else 0, seed=seed)
    write_run(folder, "<script>$x", "<b>.pt", n_tasks=1, samples_per_task=5)
    (folder / "<i>.txt").touch()
    assert main([str(folder), "--out", str(folder / "report")]) == 0
    return folder / "report" / "report.html"


def test_self_contained(page: Path) -> None:
    html = page.read_text("utf-8")
    # Names of XML's vocabularies look like addresses, and are not followed.
    links = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "://" not in links
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', links) == []
    assert not re.search(r"<(script|link|iframe|i>|b>)|@import", html)
    assert html.count("<svg") == 4
    assert html.count("data:image/png;base64,") == 11 + 21
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    light, dark = html.split("</style>")[0].rsplit("@media (prefers-color-scheme: dark)", 1)
    assert all(f"{name}:" in light for name in used)
    assert all(f"{name}:" in dark for name in used - {"--page"})


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the path")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium(page: Path, tmp_path: Path, scheme: str) -> None:
    picture = tmp_path / "page.png"
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    )
    flags += " --disable-component-update --disable-sync --hide-scrollbars --window-size=1280,2600"
    # No name resolves, so that what is not in the page is not there.
    own = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
    own += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", f"--screenshot={picture}"]
    subprocess.run(
        [CHROMIUM, *flags.split(), *own, page.as_uri()], check=True, timeout=120, capture_output=True
    )
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    assert (pixels == PAGE[scheme]).all(axis=1).mean() > 0.6
    # The bars are the only large areas in a model's own colour.
    for model, style in STYLES.items():
        colour = getattr(style, scheme).lstrip("#")
        seen = (pixels == tuple(bytes.fromhex(colour))).all(axis=1).sum()
        assert seen > 500, f"{model} is not seen"
    # The accuracy matrices, which are near the ends of the colour map wherever they are.
    middle = (255 * np.array(COLOURS(0.8)[:3])).astype(int)
    assert (np.abs(pixels.astype(int) - middle).max(axis=1) < 25).sum() > 5000


def test_heat_map_is_a_pixel_for_each_accuracy() -> None:
    matrix = np.array([[0.0, 0.5], [0.25, 1.0]], dtype=np.float32)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(heat_map(matrix)))).convert("RGB"))
    assert np.abs(image - 255 * COLOURS(matrix)[:, :, :3]).max() < 2


# Machado, Oliveira & Fernandes 2009, full dichromacy, on linear RGB.
VISION = {
    "trichromat": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    """A colour's linear RGB (sRGB, IEC 61966-2-1)."""
    value = np.array(list(bytes.fromhex(colour.lstrip("#")))) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def cielab(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear RGB, under D65."""
    xyz = XYZ @ rgb / XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    colours = [linear(getattr(style, scheme)) for style in STYLES.values()]
    for vision in VISION.values():
        seen = [cielab(np.clip(vision @ colour, 0, 1)) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 12
    background = XYZ[1] @ linear("#" + bytes(PAGE[scheme]).hex())
    for colour in colours:
        dark, light = sorted([background, XYZ[1] @ colour])
        assert (light + 0.05) / (dark + 0.05) > 3
