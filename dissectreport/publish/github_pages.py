"""Puts a site on a branch of a Git repository, from which GitHub Pages and the like serve it."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from dissectreport.cache.records import Wanted
from dissectreport.errors import CacheError, OutputError, UnknownName
from dissectreport.pipeline.render import render
from dissectreport.pipeline.reporter import Reporter
from dissectreport.report.common.site_options import DETAILS, SiteSettings, detail_named
from dissectreport.report.common.summary import Summary
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


def publish(site: Path, target: Target, message: str = "", history: bool = True) -> int:
    """Make `site` the content of the branch and push it; the number of files."""
    from ghp_import import GhpError, ghp_import

    content, files = site.resolve(), sum(path.is_file() for path in site.rglob("*"))
    words = message or f"Publish the site (dissectreport {__version__})"
    try:
        with chdir(target.repository):
            ghp_import(
                str(content),
                remote=target.remote,
                branch=target.branch,
                mesg=words,
                nojekyll=True,
                no_history=not history,
                cname=target.domain or None,
            )
    except (GhpError, OSError, TypeError) as error:  # a failed import writes bytes to a text stream
        raise OutputError(f"git could not import {site} into the branch {target.branch}: {error}") from error
    pushed = _git(target.repository, "push", *([] if history else ["--force"]), target.remote, target.branch)
    if pushed.returncode:
        raise OutputError(f"git could not push {target.branch} to {target.remote}: {_reason(pushed)}")
    return files


def check_installed() -> None:
    """Refuse to continue without ghp-import."""
    try:
        import ghp_import  # noqa: F401
    except ImportError:
        raise OutputError("publishing needs ghp-import; install it: pip install ghp-import") from None


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


def _sizes(site: Path) -> dict[str, int]:
    return {path.relative_to(site).as_posix(): path.stat().st_size for path in site.rglob("*") if path.is_file()}


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
        for summary in sorted(check_site(site), key=lambda summary: -sum(_sizes(site / summary.home).values())):
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

    A branch that contains anything else than a site is refused, unless it may be replaced.
    """
    if _git(repository, "rev-parse", "--git-dir").returncode:
        raise OutputError(
            f"{repository.resolve()} is not in a Git repository; go to the one whose branch {branch} "
            "will contain the site"
        )
    url = _address_of(repository, remote)
    _check_branch(repository, branch)
    there = _fetched(repository, remote, branch)
    names = _git(repository, "ls-tree", "-r", "--name-only", "-z", there).stdout.split("\0")[:-1] if there else []
    if _is_foreign(names) and not replace:
        some = ", ".join([*names[:3], *("…" for _ in names[3:4])])
        raise OutputError(
            f"the branch {branch} of {remote} contains something else ({some}), "
            "which publishing would remove; choose another --branch, or add --replace"
        )
    domain = _git(repository, "show", f"{there}:CNAME").stdout.strip() if "CNAME" in names else ""
    return Target(repository, remote, branch, f"https://{domain}/" if domain else pages_address(url), domain)


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


def _is_foreign(names: list[str]) -> bool:
    ours = "index.html" in names and any(re.fullmatch(r"[^/]+/summary\.json", name) for name in names)
    return bool(set(names) - {"CNAME", ".nojekyll"}) and not ours


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
            capture_output=True,
            text=True,
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
