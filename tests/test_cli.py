"""The command line: instant help, one line for what is wrong, and commands that do what they say."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer import Exit
from typer.main import get_command
from typer.testing import CliRunner

from dissectreport import files
from dissectreport.cache.store import Store
from dissectreport.cli.app import app
from dissectreport.cli.progress import LogReporter
from dissectreport.pipeline.cache_tools import clear
from dissectreport.pipeline.schedule import Pace, Schedule
from dissectreport.pipeline.tasks import STEPS, Step, Task
from tests.support.processes import accept_ctrl_c

PROGRAM = [sys.executable, "-m", "dissectreport"]
SMALL = [
    "--layers",
    "features",
    "--samples",
    "32",
    "--workers",
    "1",
    "--device",
    "cpu",
    "--no-interventions",
    "--no-artifacts",
    "--quick",
]


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory):
    """A cache of `SMALL`."""
    cache = tmp_path_factory.mktemp("measured")
    assert run("measure", "planted", *SMALL, "--cache", cache).exit_code == 0
    return cache


@pytest.fixture
def measured(measured_once, tmp_path):
    """A cache of `SMALL` that a test may change."""
    return shutil.copytree(measured_once, tmp_path / "cache")


def run(*words, **more):
    return CliRunner().invoke(app, [str(word) for word in words], **more)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom dissectreport.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'plotly', 'PIL', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def commands():
    """Every command by its words, those of groups too."""
    top = vars(get_command(app))["commands"]
    groups = {name: group.commands for name, group in top.items() if hasattr(group, "commands")}
    return {name: each for name, each in top.items() if name not in groups} | {
        f"{group} {name}": each for group, members in groups.items() for name, each in members.items()
    }


def test_build_and_measure_share_their_options():
    build, measure = ({each.name: each for each in commands()[name].params} for name in ("build", "measure"))
    site = {"out", "site_limit", "fit", "base_url", "replace"}
    assert set(build) == set(measure) - {"shard"} | site and not site & set(measure)
    for name in set(measure) - {"shard"}:
        assert measure[name].opts == build[name].opts and measure[name].help == build[name].help


def test_a_command_that_loads_a_model_takes_all_that_is_said_about_it():
    for name, each in commands().items():
        given = {parameter.name for parameter in each.params}
        assert "weights" not in given or given >= {"psi", "cutoff", "label", "noise"}, name


def test_options_stand_in_panels():
    text = run("build", "--help", env={"COLUMNS": "200"}).stdout
    panels = ["What is measured", "Interventions", "Artifact units", "Machine", "Site"]
    places = [text.index(f"─ {panel} ─") for panel in panels]
    assert places == sorted(places)
    assert places[1] < text.index("--concepts") < places[2] < text.index("--features") < places[3]
    assert places[3] < text.index("--offline") < places[4] < text.index("--base-url")


def test_summaries_of_commands_fit_a_narrow_terminal():
    summaries = {name: each.help.split("\n")[0] for name, each in commands().items()}
    assert all(0 < len(summary) < 45 for summary in summaries.values()), summaries


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("build scenes_pgan_", ["scenes_pgan_early"]),
        ("build planted --segmenter scenes+col", ["scenes+colour"]),
        ("build planted --rule icl", ["iclr2019"]),
        ("measure planted --budget p", ["paper"]),
    ],
)
def test_a_shell_completes_names(words, offered):
    asked = {
        "_DISSECTREPORT_COMPLETE": "complete_bash",
        "COMP_WORDS": f"dissectreport {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    result = CliRunner().invoke(app, [], prog_name="dissectreport", env=asked)
    assert result.stdout.split() == offered


def test_layers_are_completed_from_what_was_measured(measured_once):
    from dissectreport.cli import completion

    command = commands()["build"]
    context = command.make_context("build", ["planted", "--cache", str(measured_once)])
    complete = completion.of("layers")
    assert complete is not None
    assert complete(context, "fea") == ["features"] and complete(context, "mixed,fea") == ["mixed,features"]


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_log_numbers_its_steps_and_gets_a_line_a_minute_at_most(capsys):
    clock = Clock()
    reporter = LogReporter(clock)
    reporter.begin(Schedule({Task.COUNTING: 100.0, Task.ABLATION: 100.0, Task.PAGES: 40.0}))
    for clock.now in range(0, 100, 10):
        reporter.progress(Task.COUNTING, int(clock.now), 100, "samples")
    clock.now = 125.0
    reporter.progress(Task.ABLATION, 1, 4, "batches")
    reporter.progress("downloading a.pth", 1, 2, "MB")
    assert capsys.readouterr().err.splitlines() == [
        "step 1 of 3: measuring units: counting units and concepts, 0 of 100 samples; about 4 min left",
        "step 1 of 3: measuring units: counting units and concepts, 60 of 100 samples, 1 a second; about 3 min left",
        "step 2 of 3: ablating units: ablating sets of units, 1 of 4 batches; about 2 min left",
    ]


def test_what_is_left_follows_the_pace_so_far():
    clock = Clock()
    pace = Pace(Schedule({Task.COUNTING: 100.0, Task.PAGES: 100.0}), clock)
    pace.update(Task.COUNTING, 0, 10)
    assert pace.left == pytest.approx(200)
    clock.now = 100.0
    pace.update(Task.COUNTING, 5, 10)
    assert pace.step == (1, Step.UNITS)
    assert pace.left == pytest.approx(150 * 110 / 60), "twice as slow as estimated, damped by ten seconds of trust"
    pace.update(Task.PAGES, 100, 100)
    assert pace.left == 0


def test_what_was_counted_in_an_earlier_run_does_not_count_as_fast():
    clock = Clock()
    pace = Pace(Schedule({Task.COUNTING: 100.0, Task.PAGES: 100.0}), clock)
    pace.update(Task.COUNTING, 50, 100)
    clock.now = 25.0
    pace.update(Task.COUNTING, 75, 100)
    assert pace.left == pytest.approx(125)


def test_every_task_of_a_step_is_of_that_step_alone():
    tasks = [task for tasks in STEPS.values() for task in tasks]
    assert len(tasks) == len(set(tasks)) and list(STEPS) == list(Step)
    assert tasks == [task for task in Task if task not in (Task.EDITING, Task.REPAIR, Task.INVERSION, Task.AGREEMENT)]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["build", "scenes_pgam"], "no generator 'scenes_pgam'; did you mean scenes_pgan"),
        (["build", "planted", "--layers", "featurez"], "did you mean features"),
        (["build", "planted", "--samples", "0"], "--samples must be at least 1, not 0"),
        (["build", "planted", "--samples", "-3"], "--samples must be at least 1, not -3"),
        (["build", "planted", "--rule", "iclr2018"], "no rule 'iclr2018'; did you mean iclr2019"),
        (["build", "planted", "--segmenter", "scenez"], "no segmenter 'scenez'; did you mean scenes"),
        (["build", "planted", "--device", "cuda:7"], "--device cuda:7 is not usable here; usable: auto, cpu"),
        (["render", "planted"], "no measurement under rule corrected of 'planted'"),
        (["build", "planted", "--base-url", "my.site"], "--base-url is the address of the published site"),
        (["render", "planted", "--base-url", "file:///x"], "--base-url is the address of the published site"),
        (["cache", "clear", "nothing"], "no measurement of 'nothing'"),
        (["cache", "clear", ""], "the argument model is empty (''); give a value, or leave it out"),
        (["cache", "clear", "--older-than", ""], "--older-than is empty (''); give a value, or leave it out"),
        (["build", "planted", "--layers", "a\nb"], "is not a list of names separated by commas on one line"),
    ],
)
def test_what_is_wrong_is_one_line(words, line, tmp_path):
    result = run(*words, "--cache", tmp_path / "cache", *([] if words[0] == "cache" else ["--out", tmp_path / "site"]))
    assert result.exit_code == 1
    assert line in result.stderr and result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    assert not (tmp_path / "site").exists(), "a command that fails leaves no empty folder"


@pytest.mark.parametrize("empty", ["", " , ", '""'])
def test_no_option_takes_an_empty_value_for_none(empty, capsys):
    """As where the variable of a script is not set: it would be measured something else, or written somewhere else."""
    valued = [
        (command, parameter.opts[0])
        for command in commands().values()
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.is_flag
    ]
    assert {option for _, option in valued} >= {"--layers", "--segmenter", "--out", "--cache", "--concepts", "--at"}
    for command, option in valued:
        with pytest.raises(Exit):
            command.make_context(command.name, [option, empty])
        assert capsys.readouterr().err == (
            f"dissectreport: {option} is empty ({empty!r}); give a value, or leave it out\n"
        )


@pytest.mark.extended
@pytest.mark.slow
def test_the_limit_of_a_site_is_an_option_of_whatever_draws_one(measured, tmp_path):
    where = ["--cache", measured, "--out", tmp_path / "site"]
    large = ["--segmenter", "planted", "--site-limit", "1"]
    result = run("build", "planted", *SMALL, *large, *where)
    assert result.exit_code == 1 and "more than the 1 MB of --site-limit" in result.stderr.splitlines()[-1]
    assert run("render", "planted", *where, "--site-limit", "1").exit_code == 1
    assert not (tmp_path / "site").exists()
    assert run("render", "planted", *where, "--site-limit", "0").exit_code == 0


@pytest.mark.slow
def test_what_was_measured_is_exported_as_it_is_asked_for(measured_once, tmp_path):
    cache = ["--cache", measured_once]
    nothing = run("export", "planted", *cache)
    assert nothing.exit_code == 1 and "nothing to write: give --single-file" in nothing.stderr
    missing = run("export", "scenes_pgan", *cache, "--single-file", tmp_path / "none.html")
    assert missing.exit_code == 1 and "no measurement under rule corrected of 'scenes_pgan'" in missing.stderr
    small = run("export", "planted", *cache, "--single-file", tmp_path / "small.html", "--samples", "48")
    assert small.exit_code == 1 and "with samples 48; there are 32 samples" in small.stderr
    old = tmp_path / "old" / "dissect.json"
    both = run("export", "planted", *cache, "--single-file", tmp_path / "one.html", "--dissect-json", old)
    assert both.exit_code == 0, both.output
    assert "MB in" in both.stdout and f"25 files in {old.parent}" in both.stdout
    assert (tmp_path / "one.html").read_text().startswith("<!DOCTYPE html>")
    (tmp_path / "file").write_text("")
    blocked = run("export", "planted", *cache, "--single-file", tmp_path / "file" / "one.html")
    assert blocked.exit_code == 1 and blocked.stderr.splitlines()[-1].startswith("dissectreport: cannot write")
    assert not (tmp_path / "none.html").exists() and not (tmp_path / "small.html").exists()
    imported = run("import", old, "--name", "before", "--out", tmp_path / "site")
    page = tmp_path / "site" / "before" / "features" / "index.html"
    assert imported.exit_code == 0 and page.exists()
    assert (tmp_path / "one.html").stat().st_mode == old.stat().st_mode == page.stat().st_mode, "for others to read"


def test_an_output_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("build", "planted", *SMALL, "--cache", tmp_path / "cache", "--out", tmp_path / "file" / "site")
    assert result.exit_code == 1 and "cannot write" in result.stderr and not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_build_says_what_it_costs_and_where_the_site_is(tmp_path):
    result = run("build", "planted", *SMALL, "--cache", tmp_path / "cache", "--out", tmp_path / "site")
    assert result.exit_code == 0, result.output
    assert "32 samples, 24 units in 1 layer" in result.stderr and "steps with 1 worker on cpu" in result.stderr
    assert "MB of cache" in result.stderr and "before" not in result.stderr.splitlines()[0]
    more = run("build", "planted", *SMALL, "--samples", "48", "--cache", tmp_path / "cache", "--out", tmp_path / "site")
    assert "48 samples, 24 units in 1 layer, and controls, 32 samples of it measured before: about" in more.stderr
    again = run("build", "planted", *SMALL, "--cache", tmp_path / "cache", "--out", tmp_path / "site")
    assert "measured before: only what is missing is measured" in again.stderr
    last = result.stdout.splitlines()
    assert last[0].startswith("finished in ") and "new or changed" in last[0]
    assert last[1] == f"open first: {tmp_path / 'site' / 'index.html'}" and (tmp_path / "site" / "index.html").exists()
    assert "\x1b" not in result.output


@pytest.mark.slow
def test_the_steps_on_their_own_do_what_build_does(measured_once, tmp_path):
    cache = ["--cache", tmp_path / "cache"]
    assert run("build", "planted", *SMALL, *cache, "--out", tmp_path / "one").exit_code == 0
    assert run("render", "planted", "--cache", measured_once, "--out", tmp_path / "two").exit_code == 0
    one, two = (
        {str(p.relative_to(r)): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def test_the_cache_is_listed_verified_and_cleared(measured, tmp_path):
    cache = ["--cache", measured]
    assert "planted  corrected  32 samples of features" in run("cache", "list", *cache).stdout
    assert run("cache", "verify", *cache).exit_code == 0
    victim = next((tmp_path / "cache").glob("measurements/*/samples-*.npz"))
    victim.write_bytes(b"no")
    verified = run("cache", "verify", *cache)
    assert verified.exit_code == 1 and str(victim) in verified.stdout
    assert run("cache", "clear", "--older-than", "1d", "--limit", "1000", *cache).stdout == "0.0 MB removed\n"
    (record,) = (tmp_path / "cache" / "records").iterdir()
    os.utime(record, (0, 0))
    assert "MB removed" in run("cache", "clear", "--older-than", "1d", *cache).stdout
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_a_cache_is_cleared_of_its_oldest_runs_down_to_a_size(measured, tmp_path):
    unfinished = Store.open(tmp_path / "cache" / "measurements", {"kind": "counts", "of": "a run that was stopped"})
    for path in (unfinished.folder, unfinished.facts_path):
        os.utime(path, (0, 0))
    cache = ["--cache", measured]
    assert re.search(r"^ +0.0 MB of unfinished runs$", run("cache", "list", *cache).stdout, re.MULTILINE)
    size = files.size(tmp_path / "cache")
    assert clear(tmp_path / "cache", limit=size - 1) == size - files.size(tmp_path / "cache") > 0
    assert not unfinished.folder.exists() and list((tmp_path / "cache" / "records").iterdir())
    assert "MB removed" in run("cache", "clear", "planted", "--limit", "0", *cache).stdout
    assert not list((tmp_path / "cache").rglob("*.npz"))


@pytest.mark.extended
@pytest.mark.slow
def test_a_quick_run_does_not_hide_the_one_before(measured, tmp_path):
    cache = ["--cache", measured]
    assert run("measure", "planted", *SMALL, "--samples", "16", *cache).exit_code == 0
    listed = run("cache", "list", *cache).stdout.splitlines()
    assert listed[0].startswith("planted  corrected  16 samples of features") and listed[0].endswith("newest")
    assert listed[1].startswith("planted  corrected  32 samples of features") and not listed[1].endswith("newest")
    newest = run("render", "planted", *cache, "--out", tmp_path / "newest")
    assert "using the run of 16 samples of features" in newest.stderr and "one of 2" in newest.stderr
    large = run("render", "planted", "--samples", "32", *cache, "--out", tmp_path / "large")
    assert "using the run of 32 samples of features" in large.stderr
    assert '"samples": 32' in (tmp_path / "large" / "planted" / "summary.json").read_text()
    missing = run("render", "planted", "--samples", "48", "--layers", "mixed", *cache, "--out", tmp_path / "none")
    assert missing.exit_code == 1 and missing.stderr.count("\n") == 1
    assert "with samples 48, layers mixed; there are 16 samples of features (seed 1" in missing.stderr
    run("measure", "planted", *SMALL, *cache)
    assert run("cache", "list", *cache).stdout.splitlines()[0].startswith("planted  corrected  32 samples")
    assert "MB removed" in run("cache", "clear", "planted", *cache).stdout
    assert not list((tmp_path / "cache").rglob("*.json"))


@pytest.mark.slow
def test_too_few_images_are_no_finding(tmp_path):
    few = [
        "--layers",
        "features,mixed",
        "--samples",
        "5",
        "--grid",
        "3",
        "--workers",
        "1",
        "--no-interventions",
        "--no-artifacts",
    ]
    result = run("build", "planted", *few, "--cache", tmp_path / "cache", "--out", tmp_path / "site")
    assert result.exit_code == 0, result.output
    assert "5 samples are too few to judge which units match a concept; raise --samples" in result.stderr
    for name in ("index.html", "planted/index.html", "planted/features/index.html", "planted/features/unit-3.html"):
        text = (tmp_path / "site" / name).read_text()
        assert "Too few images to tell" in text, name
        assert "0 of 40" not in text and "[0, 0]" not in text, name
    for name in ("planted/concepts.html", "planted/data/layers.csv"):
        assert "[0, 0]" not in (tmp_path / "site" / name).read_text()
    layers = (tmp_path / "site" / "planted" / "data" / "layers.csv").read_text().splitlines()
    assert layers[1] == "features,measured,,,,,24,,,,,,"


def test_it_says_which_version_it_is():
    from dissectreport import __version__

    assert run("--version").stdout == f"dissectreport {__version__}\n"


def test_models_lists_what_can_be_named():
    listed = run("models").stdout
    assert all(name in listed for name in ("planted", "scenes_pgan", "scenes_pgan_early", "scenes", "colour"))


@pytest.mark.slow
def test_interrupted_it_says_that_finished_work_is_kept(tmp_path):
    words = ["measure", "planted", *SMALL, "--samples", "100000", "--no-controls", "--cache", str(tmp_path)]
    process = subprocess.Popen(
        [*PROGRAM, *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=accept_ctrl_c,
    )
    deadline = time.monotonic() + 60
    try:
        while not list(tmp_path.glob("measurements/*/samples-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("dissectreport: stopped; finished work is kept")
    assert "Traceback" not in said


def test_the_downloads_of_a_site_are_plain_json(measured_once, tmp_path):
    run("render", "planted", "--cache", measured_once, "--out", tmp_path / "site")
    files = list((tmp_path / "site").rglob("*.json"))
    assert files and all(json.loads(Path(path).read_text()) is not None for path in files)
