"""Takes ONNX Runtime Web from its npm package into templates/static/onnxruntime, the same bytes every time.

    npm pack onnxruntime-web@1.30.0
    python tools/vendor_onnxruntime.py onnxruntime-web-1.30.0.tgz           # writes the files
    python tools/vendor_onnxruntime.py onnxruntime-web-1.30.0.tgz --check   # compares them

The package's digest is checked. Files are packed with gzip without names and times, because a site holds them packed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "templates" / "static" / "onnxruntime"
NAME, VERSION = "onnxruntime-web", "1.30.0"
PACKAGE = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
"""SHA-256 of the package."""
FILES = (
    *("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    *("ort.jspi.min.js", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
)
"""For WebAssembly alone, and with WebGPU."""


def contents(package: bytes) -> dict[str, bytes]:
    """The files to write, by name: each packed, and a list of their digests."""
    found = hashlib.sha256(package).hexdigest()
    if found != PACKAGE:
        raise SystemExit(f"this is not {NAME} {VERSION}: its SHA-256 is {found}, not {PACKAGE}")
    files, digests = {}, {}
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None, f"the package has {name}"
            content = member.read()
            digests[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            files[f"{name}.gz"] = gzip.compress(content, 9, mtime=0)
    about = {"name": NAME, "version": VERSION, "licence": "MIT", "package_sha256": PACKAGE, "files": digests}
    return files | {"about.json": (json.dumps(about, indent=2) + "\n").encode()}


def same(name: str, content: bytes) -> bool:
    """Whether a file is there with this content, however it was packed."""
    path = FOLDER / name
    if not path.exists():
        return False
    unpack = gzip.decompress if name.endswith(".gz") else bytes
    return unpack(path.read_bytes()) == unpack(content)


def main(arguments: list[str]) -> int:
    """Write the files, or compare them with --check."""
    files = contents(Path(arguments[0]).read_bytes())
    if "--check" in arguments:
        other = [name for name, content in files.items() if not same(name, content)]
        sys.stdout.write(f"other than in the package: {', '.join(other)}\n" if other else "as in the package\n")
        return bool(other)
    FOLDER.mkdir(exist_ok=True)
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
    sys.stdout.write(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:.2f} MB, in {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
