"""Publishing to a real repository: what is pushed, what is refused, and where it will be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dissectreport.cli.app import app
from dissectreport.errors import OutputError, UnknownName
from dissectreport.files import LOCK
from dissectreport.publish import github_pages
from dissectreport.publish.github_pages import pages_address
from dissectreport.report.common.site_options import DETAILS, SiteSettings, with_detail
from dissectreport.report.site.build import write_site
from dissectreport.report.site.fixed_comparison import write_comparison
from dissectreport.report.site.summaries import read_summaries
from tests.support.dissections import example_dissection
from tests.support.reporters import RecordingReporter
from tests.support.sites import broken_links, contents
from tests.support.tiers import extended


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["publish", *map(str, words)])


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "site"
    write_site(example_dissection(units=6, layers=1), out)
    return out


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare repository, the origin of the repository in which the program runs; nobody's own settings count."""
    (tmp_path / "gitconfig").write_text("[user]\nname = A. Author\nemail = author@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    there, here = tmp_path / "there.git", tmp_path / "here"
    here.mkdir()
    git(tmp_path, "init", "--bare", "--quiet", str(there))
    git(here, "init", "--quiet", "--initial-branch", "main")
    git(here, "remote", "add", "origin", str(there))
    monkeypatch.chdir(here)
    return there


def published(bare: Path, tmp_path: Path) -> dict[str, bytes]:
    """The files of the branch, as somebody else gets them."""
    git(tmp_path, "clone", "--quiet", "--branch", "gh-pages", str(bare), "clone")
    return {name: held for name, held in contents(tmp_path / "clone").items() if not name.startswith(".git/")}


def written(site: Path) -> dict[str, bytes]:
    """The files of a site, without the lock of its folder."""
    return {name: held for name, held in contents(site).items() if name != LOCK}


def commits(bare: Path) -> int:
    return int(git(bare, "rev-list", "--count", "gh-pages"))


def test_the_branch_holds_the_site_byte_for_byte_and_the_work_tree_is_left_alone(
    made: Path, bare: Path, tmp_path: Path
) -> None:
    Path("mine.txt").write_text("not to be published")
    result = run(made)
    assert result.exit_code == 0, result.output
    assert "pushed to the branch gh-pages of origin" in result.stdout and "http" not in result.stdout
    assert published(bare, tmp_path) == written(made)
    assert [path.name for path in Path().iterdir() if path.name != ".git"] == ["mine.txt"]


def test_another_render_is_another_commit_and_what_went_is_gone(made: Path, bare: Path, tmp_path: Path) -> None:
    assert run(made).exit_code == 0
    out = tmp_path / "other"
    write_site(example_dissection(units=6, layers=1, name="other"), out)
    # Somebody published from another clone in the meantime.
    git(Path.cwd(), "update-ref", "-d", "refs/remotes/origin/gh-pages")
    git(Path.cwd(), "branch", "-D", "gh-pages")
    assert run(out, "--message", "The other model").exit_code == 0
    assert commits(bare) == 2 and "The other model" in git(bare, "log", "-1", "--format=%s", "gh-pages")
    assert published(bare, tmp_path) == written(out)
    assert run(out, "--no-history").exit_code == 0
    assert commits(bare) == 1


def test_a_domain_of_ones_own_is_kept(made: Path, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "CNAME").write_text("units.example.org\n")
    git(tmp_path / "first", "init", "--quiet", "--initial-branch", "gh-pages")
    git(tmp_path / "first", "add", ".")
    git(tmp_path / "first", "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "domain")
    git(tmp_path / "first", "push", "--quiet", str(bare), "gh-pages")
    result = run(made)
    assert "https://units.example.org/" in result.stdout
    assert published(bare, tmp_path)["CNAME"].strip() == b"units.example.org"
    assert commits(bare) == 2


def test_a_branch_that_holds_something_else_is_not_overwritten(made: Path, bare: Path, tmp_path: Path) -> None:
    other = tmp_path / "docs"
    other.mkdir()
    (other / "index.html").write_text("<h1>Documentation</h1>")
    git(other, "init", "--quiet", "--initial-branch", "gh-pages")
    git(other, "add", ".")
    git(other, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "documentation")
    git(other, "push", "--quiet", str(bare), "gh-pages")
    refused = run(made)
    assert refused.exit_code == 1 and "contains something else (index.html)" in refused.stderr
    assert commits(bare) == 1
    assert run(made, "--replace").exit_code == 0
    assert published(bare, tmp_path) == written(made)


def draft(branch: str, name: str, content: str) -> str:
    """A commit of one's own on a branch that is not checked out; its name."""
    git(Path.cwd(), "commit", "--quiet", "--allow-empty", "-m", "one")
    git(Path.cwd(), "checkout", "--quiet", *(() if git(Path.cwd(), "branch", "--list", branch) else ("-b",)), branch)
    Path(name).write_text(content)
    git(Path.cwd(), "add", name)
    git(Path.cwd(), "commit", "--quiet", "-m", "my draft")
    git(Path.cwd(), "checkout", "--quiet", "main")
    return git(Path.cwd(), "rev-parse", branch).strip()


def test_a_draft_of_ones_own_is_neither_replaced_nor_pushed(made: Path, bare: Path, tmp_path: Path) -> None:
    tip = draft("gh-pages", "index.html", "private draft")
    refused = run(made)
    assert refused.exit_code == 1 and refused.stderr.count("\n") == 1
    assert "the local branch gh-pages contains something else (index.html) that origin does not have" in refused.stderr
    assert git(Path.cwd(), "rev-parse", "gh-pages").strip() == tip and not git(bare, "branch", "--list")
    assert run(made, "--replace").exit_code == 0
    assert published(bare, tmp_path) == written(made) and commits(bare) == 1
    assert "my draft" not in git(bare, "log", "--all", "--format=%s")
    assert git(Path.cwd(), "rev-parse", "gh-pages@{1}").strip() == tip, "it can still be found"


@pytest.mark.parametrize(("name", "content"), [("notes.md", "mine"), extended("planted/index.html", "edited by hand")])
def test_a_draft_on_top_of_a_published_site_is_refused(made: Path, bare: Path, name: str, content: str) -> None:
    assert run(made).exit_code == 0
    draft("gh-pages", name, content)
    refused = run(made)
    assert refused.exit_code == 1 and f"contains something else ({name})" in refused.stderr
    assert commits(bare) == 1


@pytest.mark.extended
def test_a_site_that_was_published_and_removed_there_can_be_published_again(made: Path, bare: Path) -> None:
    assert run(made).exit_code == 0
    git(bare, "branch", "-D", "gh-pages")
    assert run(made).exit_code == 0


@pytest.mark.extended
def test_a_push_that_fails_leaves_no_branch(made: Path, bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert run(made).exit_code == 1
    assert not git(Path.cwd(), "for-each-ref")


def test_only_what_the_site_wrote_is_published(made: Path, bare: Path, tmp_path: Path) -> None:
    site = shutil.copytree(made, tmp_path / "site")
    for name in (".env", "id_rsa", "planted/.index.html.1.part", "planted/odd\nname", "planted/data/mine.csv"):
        (site / name).write_text("secret")
    os.mkfifo(site / "pipe")
    (site / "dead").symlink_to("nowhere")
    (site / "self").symlink_to("self")
    (site / "outside").symlink_to(tmp_path)
    result = run(site)
    assert result.exit_code == 0, result.output
    assert (
        result.stderr.count("not published, because dissectreport did not write it: .env, dead, id_rsa and 6 more") == 1
    )
    assert "secret" not in result.output and published(bare, tmp_path) == written(made)


@pytest.mark.parametrize("how", ["edited", extended("missing"), "link", extended("pipe"), extended("linked folder")])
def test_a_site_that_is_not_as_it_was_written_is_not_published(
    made: Path, bare: Path, tmp_path: Path, how: str
) -> None:
    site = shutil.copytree(made, tmp_path / "site")
    page = site / "planted" / "index.html"
    content = page.read_bytes()
    page.unlink()
    if how == "edited":
        page.write_bytes(content + b" ")
    elif how == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        page.symlink_to(tmp_path / "elsewhere")
    elif how == "pipe":
        os.mkfifo(page)
    elif how == "linked folder":
        page.write_bytes(content)
        (site / "planted").rename(tmp_path / "planted")
        (site / "planted").symlink_to(tmp_path / "planted")
    for words in ((site,), (site, "--check")):
        refused = run(*words)
        assert refused.exit_code == 1 and refused.stderr.count("\n") == 1
        assert str(site) in refused.stderr and ("planted" in refused.stderr or how == "linked folder")
    assert not git(bare, "branch", "--list")


def test_without_an_author_nothing_is_published(
    made: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("")
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    refused = run(made)
    assert refused.exit_code == 1 and refused.stderr.count("\n") == 1
    assert "git config --global user.name NAME" in refused.stderr and not git(bare, "branch", "--list")


def test_the_commit_is_the_authors(made: Path, bare: Path) -> None:
    assert run(made, "--message", "Größe: two\nlines").exit_code == 0
    assert git(bare, "log", "-1", "--format=%an %ae %cn|%B", "gh-pages").strip() == (
        "A. Author author@example.org A. Author|Größe: two\nlines"
    )


def test_a_repository_of_somebody_else_is_called_that(made: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = run(made)
    assert refused.exit_code == 1 and refused.stderr.count("\n") == 1
    assert "dubious ownership" in refused.stderr and "git config --global --add safe.directory" in refused.stderr


def test_what_cannot_be_published_is_one_line(
    made: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: Any) -> str:
        result = run(*words)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "Traceback" not in result.output
        return str(result.stderr)

    (tmp_path / "no site").mkdir()
    (tmp_path / "no site" / "index.html").write_text("mine")
    assert "no site is not a site of dissectreport" in refused(tmp_path / "no site")
    assert "is not a site of dissectreport" in refused(tmp_path / "nowhere")
    assert "no remote 'upstream'; choose one with --remote: origin" in refused(made, "--remote", "upstream")
    assert "cannot be the name of a branch" in refused(made, "--branch", "a b")
    assert "cannot be the name of a branch" in refused(made, "--branch=--all")
    assert "the branch main is checked out here" in refused(made, "--branch", "main")
    git(Path.cwd(), "remote", "set-url", "origin", str(tmp_path / "gone.git"))
    assert "git could not read gh-pages from origin" in refused(made)
    git(Path.cwd(), "remote", "remove", "origin")
    assert "has no remote 'origin'; add one" in refused(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "is not in a Git repository" in refused(made)


def test_a_push_that_is_rejected_is_one_line(made: Path, bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho too large >&2\nexit 1\n")
    hook.chmod(0o755)
    result = run(made)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "git could not push gh-pages to origin: remote: too large" in result.stderr


def test_a_site_over_the_budget_names_what_is_large(made: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    total = sum(map(len, written(made).values()))
    with pytest.raises(OutputError, match=r"more than the 1 MB of --budget \(assets [\d.]+ MB, planted/"):
        github_pages.check_size(made, 1)
    assert github_pages.check_size(made, 0) == github_pages.check_size(made, 900) == total
    result = run(made, "--budget", "1")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert not git(bare, "branch", "--list")
    monkeypatch.setattr(github_pages, "FILE_BUDGET", 2)
    with pytest.raises(OutputError, match=r"plotly.*GitHub takes no file of more than 2 MB"):
        github_pages.check_size(made, 0)


def test_a_site_is_checked_without_a_repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fits = run(made, "--check")
    assert fits.exit_code == 0 and "has 1 model, " in fits.stdout
    monkeypatch.setattr(github_pages, "FILE_BUDGET", 0)
    refused = run(made, "--check")
    assert refused.exit_code == 1 and "no file of more than" in refused.stderr
    assert run(tmp_path, "--check").exit_code == 1


def test_a_model_is_rendered_again_from_the_run_that_its_pages_show(tmp_path: Path) -> None:
    write_site(example_dissection(units=6, layers=1), tmp_path)
    (one,) = read_summaries(tmp_path)
    facts = example_dissection(units=6, layers=1).provenance
    wanted = github_pages._run_of(one)
    assert (wanted.samples, wanted.seed, wanted.grid) == (facts.samples, facts.seed, facts.grid) and wanted.grid


@pytest.mark.extended
def test_fixed_comparisons_outlive_the_pages_of_units(tmp_path: Path) -> None:
    made = [example_dissection(units=6, layers=1, name=name) for name in ("one", "two")]
    for each in made:
        write_site(each, tmp_path)
    page = write_comparison(tmp_path, ["one", "two"]).index
    for each in made:
        write_site(with_detail(each, DETAILS[-1]), tmp_path, settings=SiteSettings(DETAILS[-1]))
    assert not list(tmp_path.glob("*/*/unit-*.html")) and "#u=" in page.read_text("utf-8")
    assert not broken_links(tmp_path)


@pytest.mark.extended
def test_fitting_renders_the_site_again_step_by_step_and_reports_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models; what is drawn anew comes from made-up dissections instead of a cache."""
    site = tmp_path / "site"
    found = {
        name: example_dissection(units=6, layers=1, name=name, size=size) for name, size in (("a", 64), ("b", 256))
    }
    for one in (*found.values(), example_dissection(units=6, layers=1, name="c")):
        write_site(one, site)

    def render(
        model: str,
        out: Path,
        rule: str,
        cache: Any,
        reporter: Any,
        which: Any,
        site_limit: int,
        settings: Any,
    ) -> None:
        if model not in found:
            raise UnknownName("no measurement of it")
        facts = found[model].provenance
        assert (which.samples, which.seed, which.layers) == (facts.samples, facts.seed, ("layer1",))
        write_site(found[model], out, limit=site_limit, settings=settings)

    reporter = RecordingReporter()
    monkeypatch.setattr(github_pages, "render", render)
    github_pages.fit(site, 900, None, reporter)
    assert reporter.lines == []
    github_pages.fit(site, 1, None, reporter)
    assert [line for line in reporter.lines if "stays as it is" in line] == ["c stays as it is: no measurement of it"]
    said = [line for line in reporter.lines if "left out" in line]
    with_detail_models = [(line.split(":")[0], line.split("; ")[0].split("left out ")[1]) for line in said]
    assert with_detail_models == [(model, detail.left_out) for detail in DETAILS[1:] for model in ("b", "a")]
    assert {one.model: one.detail for one in read_summaries(site)} == {
        "a": "no unit pages",
        "b": "no unit pages",
        "c": "all",
    }


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/Someone/project.git", "https://someone.github.io/project/"),
        ("https://token@github.com/someone/project", "https://someone.github.io/project/"),
        ("git@github.com:someone/project.git", "https://someone.github.io/project/"),
        ("ssh://git@github.com/someone/my.project.git", "https://someone.github.io/my.project/"),
        ("ssh://git@ssh.github.com:443/someone/project.git", "https://someone.github.io/project/"),
        ("https://github.com/Someone/someone.github.io.git", "https://someone.github.io/"),
        ("https://gitlab.com/someone/project.git", ""),
        ("https://notgithub.com/someone/project.git", ""),
        ("/srv/git/github.com/someone/project.git", ""),
    ],
)
def test_the_address_of_the_site_follows_from_a_github_remote(url: str, address: str) -> None:
    assert pages_address(url) == address
