"""Large files as classic scripts: a page that was opened from a folder can load nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dissectreport.report.html.assets import templates_folder

PART = 750_000
"""Bytes in a part, so that a page can show how much has arrived."""
RUNTIMES = {
    "wasm": {
        "wasm-ort": "ort.wasm.min.js",
        "wasm-glue": "ort-wasm-simd-threaded.mjs",
        "wasm-binary": "ort-wasm-simd-threaded.wasm",
    },
    "webgpu": {
        "webgpu-ort": "ort.jspi.min.js",
        "webgpu-glue": "ort-wasm-simd-threaded.jspi.mjs",
        "webgpu-binary": "ort-wasm-simd-threaded.jspi.wasm",
    },
}
"""By processor, the files of ONNX Runtime Web by the names that pages use."""


@dataclass(frozen=True)
class PackedFile:
    """A file that was packed with gzip, in parts in base64."""

    parts: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that a browser loads."""
        return sum(map(len, self.parts))


def packed_file(content: bytes) -> PackedFile:
    """The parts of a packed file."""
    pieces = [content[first : first + PART] for first in range(0, len(content), PART)]
    return PackedFile(tuple(base64.b64encode(piece).decode() for piece in pieces))


def script_of(name: str, number: int, part: str) -> bytes:
    """A script that hands a part to the page."""
    return f'dissectreport.part("{name}", {number}, "{part}");\n'.encode()


def runtime_folder() -> Path:
    """The files of ONNX Runtime Web in the package."""
    return templates_folder() / "static" / "onnxruntime"


@lru_cache(maxsize=1)
def runtime_files() -> dict[str, tuple[tuple[str, bytes], ...]]:
    """By name of a file of ONNX Runtime Web, its scripts: where each goes, and the bytes to write there."""
    files = {name: file for runtime in RUNTIMES.values() for name, file in runtime.items()}
    return {name: _scripts(name, (runtime_folder() / f"{file}.gz").read_bytes()) for name, file in files.items()}


def _scripts(name: str, content: bytes) -> tuple[tuple[str, bytes], ...]:
    digest = hashlib.sha256(content).hexdigest()[:10]
    scripts = (script_of(name, number, part) for number, part in enumerate(packed_file(content).parts))
    return tuple((f"assets/onnxruntime-{name}-{number}.{digest}.js", script) for number, script in enumerate(scripts))


def runtime_assets() -> dict[str, bytes]:
    """All files of ONNX Runtime Web for a site, its licence among them, by their addresses."""
    licence = (runtime_folder() / "LICENSE").read_bytes()
    named = f"assets/onnxruntime-licence.{hashlib.sha256(licence).hexdigest()[:10]}.txt"
    return {address: script for scripts in runtime_files().values() for address, script in scripts} | {named: licence}
