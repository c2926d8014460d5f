"""Files appear whole or not at all, are written if they changed, and removed if they were ours."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dissectreport import files
from dissectreport.errors import OutputError, counted
from dissectreport.files import Say, place, silent
from dissectreport.report.common.ledger import LEDGER, Digests, Ledger, digest_of, read_ledger
from dissectreport.report.site.existing_files import address, changed_files, digests, named, others_among, refuse_others


@dataclass(frozen=True)
class Written:
    """What a render left behind."""

    index: Path
    """The first page of the site."""
    files: int
    """Files of this model and of the site's top, whether or not they had to be written."""
    changed: int
    """Files that were written because their bytes changed."""
    bytes: int
    """Size of those files together."""
    left_out: tuple[str, ...] = ()
    """What was left out to stay within the limit, one line per step."""


@dataclass(frozen=True)
class SiteFolder:
    """A site that is being written."""

    out: Path
    replace: bool = False
    """Whether files of others may be replaced."""
    say: Say = silent
    """Gets a line for whatever the user should know."""


def write_if_changed(path: Path, content: bytes) -> bool:
    """Whether `path` had to be written to hold `content`."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unwritable(path, error) from error
    _write(path, content)
    return True


def _write(path: Path, content: bytes) -> None:
    temporary = files.part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """One clear line about a place that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"the disk is full: {path} was not written; free some space and render again")
    if isinstance(error, NotADirectoryError | FileExistsError | IsADirectoryError):
        return OutputError(
            f"cannot write {path}: there is a file where a folder is needed, or the reverse; move it away"
        )
    return OutputError(f"cannot write {path}: {error.strerror or error}; choose another folder")


@dataclass(frozen=True)
class Content:
    """What a folder of the site is to hold."""

    fresh: Mapping[str, bytes]
    """Files that are written where they differ."""
    kept: Collection[str] = ()
    """Files that the ledger lists already and that stay as they are."""
    folders: Collection[str] = ()
    """Folders with a ledger of their own."""
    sources: Digests | None = None
    """The digest of what each file was computed from."""


def write_folder(target: SiteFolder, folder: str, content: Content) -> int:
    """Make a folder of the site hold `content`; the number of files that changed.

    Files that the ledger lists beside these are removed, unless somebody changed them. While files are written the
    ledger has their digests from before and after, so that a run that dies in between leaves nothing that the next
    one would not recognise.
    """
    old = read_ledger(target.out, folder) or Ledger()
    if not target.replace:
        refuse_others(target.out, others_among(target.out, folder, content.fresh))
    standing = digests(target.out, folder, {*old.names, *content.fresh})
    ours = {name: standing[name] for name in old.names if name in standing and old.has(name, standing[name])}
    fresh = {name: digest_of(inside) for name, inside in content.fresh.items()}
    kept = {name: old.files[name] for name in content.kept if name in old.files and name in standing}
    now = Ledger(kept | fresh, {}, tuple(content.folders), content.sources or {})
    stale = [name for name in fresh if standing.get(name) != fresh[name]]
    gone = old.names - now.files.keys()
    if stale or gone & ours.keys():
        _write_ledger(target.out, folder, replace(now, before=ours))
    for name in stale:
        _write(place(target.out, address(folder, name)), content.fresh[name])
    remove(target.out, folder, gone & ours.keys())
    _report_left(target, [address(folder, name) for name in sorted((gone & standing.keys()) - ours.keys())])
    _write_ledger(target.out, folder, now)
    return len(stale)


def _write_ledger(out: Path, folder: str, ledger: Ledger) -> None:
    write_if_changed(place(out, address(folder, LEDGER)), ledger.content(folder))


def _report_left(target: SiteFolder, names: Collection[str]) -> None:
    if names:
        target.say(
            f"{_were(names)} changed since they were written; they are kept, although they no longer belong to the site"
        )


def remove(out: Path, folder: str, names: Collection[str]) -> None:
    """Remove files of an earlier render, and the folders that this leaves empty."""
    for name in sorted(names, reverse=True):
        path = place(out, address(folder, name))
        with suppress(FileNotFoundError):
            path.unlink()
        for parent in path.relative_to(out / folder).parents:
            with suppress(OSError):
                if parent.parts:
                    (out / folder / parent).rmdir()


def report_changed(target: SiteFolder, written_again: Collection[str]) -> None:
    """Tell the user which files of the site are not as they were written, before any is written.

    `written_again` are the beginnings of the addresses that are about to be written.
    """
    changed = changed_files(target.out)
    again = [name for name in changed if name.startswith(tuple(written_again)) or name == LEDGER]
    rest = [name for name in changed if name not in again]
    if again:
        target.say(f"{_were(again)} damaged, or changed by hand, since they were written; they are written again")
    if rest:
        target.say(
            f"{_were(rest)} damaged, removed, or changed by hand, since they were written; render these models, or "
            "compare them, again"
        )


def _were(names: Collection[str]) -> str:
    return f"{counted(len(names), 'file')} of the site ({named(names)}) {'was' if len(names) == 1 else 'were'}"
