"""Puts a site on a branch of a Git repository, from which GitHub Pages and the like serve it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from dissectreport.cache.records import Wanted
from dissectreport.errors import CacheError, OutputError, UnknownName, counted
from dissectreport.files import LOCK, place
from dissectreport.pipeline.render import render
from dissectreport.pipeline.reporter import Reporter
from dissectreport.report.common.ledger import LEDGER, Ledger, digest_of, ledgers, listed, parsed, read_file, walked
from dissectreport.report.common.site_options import DETAILS, SiteSettings, detail_named
from dissectreport.report.common.summary import Summary
from dissectreport.report.site.existing_files import changed_files, named
from dissectreport.report.site.summaries import read_summaries
from dissectreport.version import __version__

BUDGET = 900
"""Megabytes of a site; GitHub Pages takes a gigabyte at most, and this leaves room for what else is there."""
FILE_BUDGET = 100
"""Megabytes of a file; GitHub refuses larger ones."""


@dataclass(frozen=True)
class Target:
    """A branch of a remote repository, checked."""

    repository: Path
    remote: str
    branch: str
    address: str
    """Where GitHub Pages will show it; '' for other hosts."""
    domain: str
    """The domain that the branch asks for; '' for the host's own."""
    author: str = ""
    """Whose commit it will be, with its time, as git writes them."""
    tip: str = ""
    """The newest commit of the branch on the remote; '' where it has none."""


def publish(site: Path, target: Target, message: str = "", history: bool = True) -> int:
    """Make the files of `site` the content of the branch and push it; the number of files."""
    names = sorted(intact_files(site))
    words = message or f"Publish the site (dissectreport {__version__})"
    with TemporaryDirectory() as folder:
        commit = _committed(site, target, names, words, target.tip if history else "", Path(folder) / "marks")
    reference = f"refs/heads/{target.branch}"
    force = [] if history else ["--force"]
    pushed = _git(target.repository, "push", *force, target.remote, f"{commit}:{reference}")
    if pushed.returncode:
        raise OutputError(f"git could not push {target.branch} to {target.remote}: {_reason(pushed)}")
    # The local branch follows only now, so that what was not pushed is not there either.
    _git(target.repository, "update-ref", "-m", "dissectreport publish", reference, commit)
    return len(names)


def _committed(site: Path, target: Target, names: Sequence[str], message: str, parent: str, marks: Path) -> str:
    """The name of a new commit that holds these files of the site, and that no branch has yet."""
    command = ["git", "fast-import", "--quiet", "--force", f"--export-marks={marks}"]
    # The branch of this name exists only within the import, which is told to forget it.
    reference = f"refs/dissectreport/{uuid4().hex}"
    with subprocess.Popen(
        command, cwd=target.repository, env=os.environ | {"LC_ALL": "C"}, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None, "both are pipes"
        with suppress(BrokenPipeError):
            for part in _stream(site, target, names, message, parent, reference):
                process.stdin.write(part)
            process.stdin.close()
        said = process.stderr.read().decode("utf-8", "replace")
    try:
        commit = marks.read_text().split()[1] if process.returncode == 0 else ""
    except (OSError, IndexError):
        commit = ""
    _git(target.repository, "update-ref", "-d", reference)
    if not commit:
        reason = next(iter(said.strip().splitlines()), f"status {process.returncode}").removeprefix("fatal: ")
        raise OutputError(f"git could not take {site} into the branch {target.branch}: {reason}")
    return commit


def _stream(
    site: Path, target: Target, names: Sequence[str], message: str, parent: str, reference: str
) -> Iterator[bytes]:
    """One commit in the format of git fast-import."""
    yield f"commit {reference}\nmark :1\ncommitter {target.author}\n".encode("utf-8", "surrogateescape")
    yield _data(message.encode("utf-8", "surrogateescape"))
    if parent:
        yield f"from {parent}\n".encode()
    yield b"deleteall\n"
    for name in names:
        yield _file(name, read_file(site, name))
    yield _file(".nojekyll", b"")
    if target.domain:
        yield _file("CNAME", f"{target.domain}\n".encode())
    yield b"done\n"


def _file(name: str, content: bytes) -> bytes:
    return f"M 100644 inline {name}\n".encode() + _data(content)


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


# --- what is published ----------------------------------------------------------------------------------------


def intact_files(site: Path) -> dict[str, Path]:
    """Every file that the ledgers of a site list, by its address; refused if one is not as it was written."""
    changed = changed_files(site)
    if changed:
        raise OutputError(
            f"{counted(len(changed), 'file')} of {site} {'is' if len(changed) == 1 else 'are'} damaged, missing, or "
            f"changed since they were written ({named(changed)}); render these models, or compare them, again"
        )
    return {name: place(site, name) for name in listed(ledgers(site))}


def report_unlisted(site: Path, reporter: Reporter) -> None:
    """Name what lies in the folder of a site and is not published."""
    others = unlisted(site)
    if others:
        reporter.say(f"not published, because dissectreport did not write it: {named(others)}")


def unlisted(site: Path) -> list[str]:
    """Addresses of what lies in the folder of a site and does not belong to it; nothing of it is opened."""
    ours, others = listed(ledgers(site)), []
    for folder, folders, names in os.walk(site):
        at = Path(folder).relative_to(site)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name != ".git" or at.parts)
        others += [(at / name).as_posix() for name in (*names, *links)]
    return sorted(name for name in others if name not in ours and name != LOCK)


def check_site(site: Path) -> list[Summary]:
    """The models of a site; any other folder is refused, so that no wrong folder becomes public."""
    models = read_summaries(site) if site.is_dir() else []
    if not models or not (site / "index.html").is_file():
        raise OutputError(
            f"{site} is not a site of dissectreport (an index.html, and a folder with a summary.json for each model); "
            "give the folder that `dissectreport build` wrote"
        )
    return models


def check_size(site: Path, budget: int) -> int:
    """The bytes of a site; refused where it takes more than `budget` megabytes (0: any), naming what is large."""
    sizes = _sizes(site)
    name, largest = max(sizes.items(), key=lambda pair: pair[1])
    if largest > FILE_BUDGET * 10**6:
        raise OutputError(f"{site / name} takes {_mb(largest)}, and GitHub takes no file of more than {FILE_BUDGET} MB")
    total = sum(sizes.values())
    if budget and total > budget * 10**6:
        raise OutputError(
            f"{site} takes {_mb(total)}, more than the {budget:,} MB of --budget ({_largest(sizes)}); publish it with "
            "--fit to leave out images and unit pages, or render fewer layers or models, or give a larger --budget"
        )
    return total


def _sizes(site: Path, beginning: str = "") -> dict[str, int]:
    """The size of each file of a site whose address begins so."""
    paths = {name: place(site, name) for name in listed(ledgers(site)) if name.startswith(beginning)}
    return {name: path.lstat().st_size for name, path in paths.items() if path.is_file()}


def _largest(sizes: dict[str, int], most: int = 4) -> str:
    """The largest folders; the layers of a model and the kinds of files are separate."""
    folders: Counter[str] = Counter()
    for name, size in sizes.items():
        folders["/".join(name.split("/")[:-1][:2]) or name] += size
    return ", ".join(f"{name} {_mb(size)}" for name, size in folders.most_common(most))


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def fit(site: Path, budget: int, cache: Path | None, reporter: Reporter) -> None:
    """Reduce the models of a site step by step, the largest first, until it takes `budget` megabytes.

    A model whose measurements are not in the cache stays as it is.
    """
    fixed: set[str] = set()
    for detail in DETAILS[1:]:
        for summary in sorted(check_site(site), key=lambda summary: -sum(_sizes(site, f"{summary.home}/").values())):
            if sum(_sizes(site).values()) <= budget * 10**6:
                return
            if summary.home in fixed or DETAILS.index(detail_named(summary.detail)) >= DETAILS.index(detail):
                continue
            settings = SiteSettings(detail, base_url=summary.base_url)
            try:
                render(
                    summary.model,
                    site,
                    rule=summary.rule,
                    cache=cache,
                    reporter=reporter,
                    which=_run_of(summary),
                    site_limit=0,
                    settings=settings,
                )
            except (UnknownName, CacheError) as error:
                reporter.say(f"{summary.model} stays as it is: {error}")
                fixed.add(summary.home)
            else:
                reporter.say(
                    f"{summary.title or summary.model}: left out {detail.left_out}; the site takes {_total(site)}"
                )


def _total(site: Path) -> str:
    return _mb(sum(_sizes(site).values()))


def _run_of(summary: Summary) -> Wanted:
    """The run that a model's pages show."""
    return Wanted(
        summary.samples,
        tuple(str(layer["layer"]) for layer in summary.layers),
        summary.seed,
        summary.segmenter,
        summary.grid,
    )


def target(repository: Path, remote: str = "origin", branch: str = "gh-pages", replace: bool = False) -> Target:
    """The branch of a remote of the repository at a folder, after checking what is there now.

    A branch that contains anything else than a site, here or there, is refused, unless it may be replaced.
    """
    _check_repository(repository, branch)
    url = _address_of(repository, remote)
    _check_branch(repository, branch)
    author = _author(repository)
    there = _fetched(repository, remote, branch)
    names = _names(repository, there)
    others = _foreign(repository, there, names)
    if others and not replace:
        raise OutputError(
            f"the branch {branch} of {remote} contains something else ({named(others)}), "
            "which publishing would remove; choose another --branch, or add --replace"
        )
    if not replace:
        _check_local(repository, remote, branch, there)
    domain = _git(repository, "show", f"{there}:CNAME").stdout.strip() if "CNAME" in names else ""
    tip = _git(repository, "rev-parse", "--verify", there).stdout.strip() if there else ""
    address = f"https://{domain}/" if domain else pages_address(url)
    return Target(repository, remote, branch, address, domain, author, tip)


def _check_repository(repository: Path, branch: str) -> None:
    found = _git(repository, "rev-parse", "--git-dir")
    if not found.returncode:
        return
    if "not a git repository" in found.stderr:
        raise OutputError(
            f"{repository.resolve()} is not in a Git repository; go to the one whose branch {branch} "
            "will contain the site"
        )
    trust = f"; if you trust it: git config --global --add safe.directory {shlex.quote(str(repository.resolve()))}"
    owned = "dubious ownership" in found.stderr
    raise OutputError(
        f"git refuses the repository at {repository.resolve()}: {_reason(found)}" + (trust if owned else "")
    )


def _author(repository: Path) -> str:
    """Whose commit it will be; refused where nobody said so, because git would make up an address."""
    answer = _git(repository, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
    author = answer.stdout.strip()
    if answer.returncode or not author or author.startswith("<"):
        raise OutputError(
            "git does not know your name; set it: git config --global user.name NAME, and "
            "git config --global user.email ADDRESS"
        )
    return author


def _names(repository: Path, commit: str) -> list[str]:
    if not commit:
        return []
    return _git(repository, "ls-tree", "-r", "--name-only", "-z", commit).stdout.split("\0")[:-1]


def _ledgers_of(repository: Path, commit: str, names: Sequence[str]) -> Iterator[tuple[str, Ledger]]:
    """The ledgers of the site in a commit."""

    def read(folder: str) -> Ledger | None:
        name = f"{folder}/{LEDGER}" if folder else LEDGER
        if name not in names:
            return None
        return parsed(_git(repository, "show", f"{commit}:{name}").stdout.encode("utf-8", "surrogateescape"), folder)

    return walked(read)


def _foreign(repository: Path, commit: str, names: Sequence[str]) -> list[str]:
    """The files of a commit that no ledger in it lists."""
    return sorted({*names} - {*listed(_ledgers_of(repository, commit, names))} - {"CNAME", ".nojekyll"})


def _edited(repository: Path, commit: str, names: Sequence[str]) -> list[str]:
    """The files of a commit that a ledger in it lists with another digest."""
    digests = {name: digest for name, digest in listed(_ledgers_of(repository, commit, names)).items() if digest}
    wanted = "".join(f"{commit}:{name}\n" for name in digests).encode()
    batch = subprocess.run(["git", "cat-file", "--batch"], cwd=repository, input=wanted, capture_output=True)
    edited, at = [], 0
    for name, digest in digests.items():
        end = batch.stdout.index(b"\n", at)
        words = batch.stdout[at:end].split()
        size = int(words[-1]) if words[-1].isdigit() else -1  # "… missing" has no content after it
        if digest_of(batch.stdout[end + 1 : end + 1 + size]) != digest:
            edited.append(name)
        at = end + 1 if size < 0 else end + size + 2
    return edited


def _check_local(repository: Path, remote: str, branch: str, there: str) -> None:
    """Refuse to move a local branch that holds something else than a site and was never pushed."""
    local = f"refs/heads/{branch}"
    if _git(repository, "rev-parse", "--verify", "--quiet", local).returncode:
        return
    if there and not _git(repository, "merge-base", "--is-ancestor", local, there).returncode:
        return
    names = _names(repository, local)
    others = _foreign(repository, local, names) or _edited(repository, local, names)
    if others:
        raise OutputError(
            f"the local branch {branch} contains something else ({named(others)}) that {remote} does not have, and "
            "publishing would move it; choose another --branch, rename that one, or add --replace"
        )


def _address_of(repository: Path, remote: str) -> str:
    address = _git(repository, "remote", "get-url", "--push", "--", remote)
    if address.returncode:
        others = _git(repository, "remote").stdout.split()
        do = f"choose one with --remote: {', '.join(others)}" if others else f"add one: git remote add {remote} ADDRESS"
        raise OutputError(f"the repository at {repository.resolve()} has no remote {remote!r}; {do}")
    return address.stdout.strip()


def _check_branch(repository: Path, branch: str) -> None:
    if branch.startswith("-") or _git(repository, "check-ref-format", f"refs/heads/{branch}").returncode:
        raise OutputError(f"{branch!r} cannot be the name of a branch; the usual one is gh-pages")
    if _git(repository, "symbolic-ref", "--short", "HEAD").stdout.strip() == branch:
        raise OutputError(f"the branch {branch} is checked out here; go to another one, or choose another --branch")


def _fetched(repository: Path, remote: str, branch: str) -> str:
    """The branch as the remote has it now, by its local name; '' where the remote has none."""
    local = f"refs/remotes/{remote}/{branch}"
    answer = _git(repository, "ls-remote", "--exit-code", "--heads", remote, f"refs/heads/{branch}")
    if answer.returncode == 2:
        _git(repository, "update-ref", "-d", local)
        return ""
    if answer.returncode == 0:
        answer = _git(repository, "fetch", "--quiet", remote, f"+refs/heads/{branch}:{local}")
    if answer.returncode:
        raise OutputError(f"git could not read {branch} from {remote}: {_reason(answer)}")
    return local


def pages_address(url: str) -> str:
    """Where GitHub Pages shows the repository at a remote's address; '' for other hosts."""
    match = re.fullmatch(
        r"(?:(?:https?|ssh|git)://)?(?:[^@/]+@)?(?:ssh\.)?github\.com(?::\d+)?[:/]+([^/:]+)/([^/]+?)(?:\.git)?/?", url
    )
    if match is None:
        return ""
    owner, project = match[1].lower(), match[2]
    return f"https://{owner}.github.io/{'' if project.lower() == f'{owner}.github.io' else f'{project}/'}"


def _git(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *words],
            cwd=repository,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as error:
        missing = "git is not installed" if repository.is_dir() else f"there is no folder {repository}"
        raise OutputError(f"{missing}; publishing pushes a branch of a Git repository") from error


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The last message of git, on one line."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    return next(iter(reasons), next(iter(lines), f"status {done.returncode}")).removeprefix("fatal: ")
