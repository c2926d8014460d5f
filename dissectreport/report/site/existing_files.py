"""Which files are in the folder of a site before it is written: unchanged ones, changed ones, and files of others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dissectreport import files
from dissectreport.errors import OutputError, counted
from dissectreport.files import place
from dissectreport.report.common.ledger import LEDGER, Ledger, digest_of, read_ledger, walked

MAX_NAMED = 3
"""At most this many files are named in a line."""


def check_folder(out: Path, may_replace: bool = False) -> None:
    """Refuse a folder that holds something else than a site, unless that may be replaced."""
    if may_replace or not out.is_dir() or read_ledger(out) is not None:
        return
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if others:
        raise OutputError(
            f"{out} is not a site of dissectreport, and contains something else ({named(others)}); choose another "
            "--out, or add --replace to write among these files"
        )


def refuse_others(out: Path, names: Iterable[str]) -> None:
    """Refuse to replace files of others."""
    others = sorted(names)
    if others:
        raise OutputError(
            f"{out} holds {counted(len(others), 'file')} that the site did not write and pages would replace "
            f"({named(others)}); move them away, choose another --out, or add --replace"
        )


def others_among(out: Path, folder: str, contents: Mapping[str, bytes | None]) -> list[str]:
    """Addresses of existing files that `contents` would replace, that no ledger lists, and that have another content.

    A content is None if it is not known yet.
    """
    ledger = read_ledger(out, folder) or Ledger()
    unknown = [name for name in contents if name not in ledger.names]
    existing = digests(out, folder, unknown)
    others = [name for name in existing if _differs(existing[name], contents[name])]
    return [address(folder, name) for name in others]


def _differs(digest: str, content: bytes | None) -> bool:
    return content is None or digest != digest_of(content)


def digests(out: Path, folder: str, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each existing file; '' if it cannot be read. A link is refused."""
    found = {}
    for name in names:
        path = place(out, address(folder, name))
        try:
            found[name] = files.sha256(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            found[name] = ""
    return found


def changed_files(out: Path) -> list[str]:
    """Addresses of all files of a site that are not as they were written: damaged, changed by hand, or removed."""
    changed = []
    folders: tuple[str, ...] = ()
    seen = set()
    for folder, ledger in walked(lambda folder: read_ledger(out, folder)):
        folders = folders or ledger.folders
        seen.add(folder)
        existing = digests(out, folder, ledger.names)
        wrong = {name for name in existing if not ledger.has(name, existing[name])}
        # What a run that was stopped was about to write, or had removed already, is not missing.
        missing = set() if ledger.before else ledger.files.keys() - existing.keys()
        names = [*sorted(wrong | missing), *([] if ledger.intact else [LEDGER])]
        changed += [address(folder, name) for name in names]
    return changed + [address(folder, LEDGER) for folder in folders if folder not in seen and (out / folder).is_dir()]


def named(names: Collection[str]) -> str:
    """The first few names, and how many more there are.

    >>> named(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    first = [name if name.isprintable() else ascii(name) for name in [*names][:MAX_NAMED]]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "")


def address(folder: str, name: str) -> str:
    """The address of a file of a folder from the top of the site, whose own folder is ''."""
    return f"{folder}/{name}" if folder else name
