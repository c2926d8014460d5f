"""Take one file out of a package of the Python package index. The package is neither installed nor imported.

    transfer_from_package("pypi:gan-face-generate==1.1.1/gan_face_generate/weights.tar", part)

pip downloads the wheel from wherever it is configured to look; a wheel is a zip file, of which nothing is run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from dissectreport.checkpoints.transfer import TransferFailed

ADDRESS = re.compile(r"pypi:(?P<requirement>[A-Za-z0-9._-]+==[A-Za-z0-9.]+)/(?P<member>.+)")
LARGEST = 1_000_000_000
"""Bytes that a file in a package may have."""
PATIENCE = 600.0
"""Seconds that pip may take."""
# Another version of Python than the one at hand may be what the package was made for; nothing of it is run.
OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--python-version=3.11",
    "--quiet",
    "--disable-pip-version-check",
    "--retries=1",
)


def is_package(url: str) -> bool:
    """Whether an address is that of a file in a package.

    >>> is_package("pypi:some-faces==1.0/some_faces/weights.pth"), is_package("https://example.org/weights.pth")
    (True, False)
    """
    return ADDRESS.fullmatch(url) is not None


def transfer_from_package(url: str, part: Path) -> None:
    """Write the file at an address into `part`; a TransferFailed says why that is not possible."""
    found = ADDRESS.fullmatch(url)
    assert found is not None, "only addresses of packages are asked for"
    part.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=part.parent, prefix=".package-") as folder:
        wheel = _downloaded(found["requirement"], Path(folder))
        _extract(wheel, found["member"], part)


def _downloaded(requirement: str, folder: Path) -> Path:
    """The wheel of a package, downloaded by pip into a folder."""
    command = [sys.executable, "-m", "pip", "download", *OPTIONS, "--dest", str(folder), requirement]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise TransferFailed(f"pip did not download it: {problem}") from problem
    wheels = sorted(folder.glob("*.whl"))
    if ran.returncode or not wheels:
        errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR") or "No module named" in line]
        raise TransferFailed(f"pip did not download it: {errors[-1] if errors else 'there is no wheel'}")
    return wheels[0]


def _extract(wheel: Path, member: str, part: Path) -> None:
    """Copy one file of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(member).file_size
            if size > LARGEST:
                raise TransferFailed(f"{member} in {wheel.name} would have {size:,} bytes")
            with archive.open(member) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
    except (KeyError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as problem:
        raise TransferFailed(f"{member} cannot be taken out of {wheel.name}: {problem}") from problem
