"""The program in odd surroundings: streams, folders and encodings that are not as usual, and signals at any moment."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from dissectreport import files
from dissectreport.cli.parameters import comma_separated
from dissectreport.cli.session import reporting
from dissectreport.errors import DissectReportError, ModelError, OutputError, answered
from dissectreport.pipeline.reproduce import comma_joined
from dissectreport.pipeline.requests import with_commas
from dissectreport.run.engine import Workers
from tests.support.processes import accept_ctrl_c
from tests.support.tiers import extended

PROGRAM = [sys.executable, "-m", "dissectreport"]
NETWORK = """
import os
import signal
import threading
import time
import torch
from torch import nn

def busy():
    BUSY

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(6, 8, 1)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        open("started", "a").close()
        busy()
        return self.out(self.body(z[:, :, None, None].expand(-1, -1, 8, 8)).relu()).tanh()
"""


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("encoding", [extended("cp1251"), extended("cp437"), "ascii"])
def test_characters_that_a_code_page_lacks_are_replaced(encoding: str) -> None:
    done = run("layers", "planted", env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and "features" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize("stream", [extended(0), 1, extended(2)])
def test_a_closed_stream_stops_nothing(stream: int, tmp_path: Path) -> None:
    command = f"exec {stream}>&-; exec {sys.executable} -m dissectreport cache list --cache {tmp_path}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_a_deleted_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec {sys.executable} -m dissectreport layers planted"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("dissectreport: the current folder was deleted") and done.stderr.count("\n") == 1


def test_a_tilde_in_the_cache_folder_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "~/kept")
    assert files.default_folder() == tmp_path / "kept" / "dissectreport"


def test_a_relative_cache_folder_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    usual = files.default_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert files.default_folder() == usual


def test_without_a_home_folder_one_line_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "~/kept")
    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME, or give --cache"):
        files.default_folder()


def test_a_plugin_that_ends_the_program_is_named() -> None:
    with pytest.raises(ModelError, match=r"generator 'x': it ends the program \(2\); it may want options of its own"):
        answered(ModelError, "generator 'x'", lambda: sys.exit(2))


def test_processes_that_can_share_nothing_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("dissectreport.run.engine.ProcessPoolExecutor", refuse)
    with Workers(2) as workers, pytest.raises(DissectReportError, match=r"Read-only file system.*--workers 1"):
        list(workers.run(lambda: abs, [1, 2, 3]))


def test_code_that_reads_the_command_line_sees_an_empty_one(tmp_path: Path) -> None:
    code = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--epochs', default=1)\n"
    (tmp_path / "net.py").write_text(code + "parser.parse_args()\n" + NETWORK.replace("BUSY", "pass"))
    (tmp_path / "mine.toml").write_text('network = "./net.py:Net"\nlatent = 6\nsegmenter = "colour"\n')
    done = run("layers", "mine.toml", cwd=tmp_path)
    assert done.returncode == 0 and "body" in done.stdout


def test_a_list_of_names_with_commas_comes_back() -> None:
    names = ("main.relu 4,6", 'a "quoted" one', "plain")
    assert comma_separated(comma_joined(names)) == names


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("relu 4,6", ("relu 4,6",)),
        ("out,relu 4, 6", ("out", "relu 4,6")),
        ("door, double door,out", ("door,  double door", "out")),
        ("relu 4", ("relu 4",)),
        ("6,relu 4", ("6", "relu 4")),
    ],
)
def test_names_with_commas_need_no_quotes(given: str, names: tuple[str, ...]) -> None:
    assert with_commas(comma_separated(given), ("relu 4,6", "out", "door,  double door")) == names


CATCHES_ALL = """
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass
"""
KEEPS_THE_LOCK = """
    sum(range(10**15))
"""
STARTS_A_PROCESS = """
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
"""
IGNORES_SIGNALS = """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
"""
DESCRIBED = 'network = "./net.py:Net"\nlatent = 6\nsegmenter = "colour"\n'
SHORT = ("--samples", "960", "--cache", "c", "--no-interventions")


def stopped(folder: Path, busy: str, kind: signal.Signals, workers: int) -> tuple[int, str]:
    """The status and the last words of a build that is stopped while its network does something."""
    (folder / "net.py").write_text(NETWORK.replace("    BUSY", busy))
    (folder / "mine.toml").write_text(DESCRIBED)
    command = [*PROGRAM, "build", "mine.toml", "--workers", str(workers), *SHORT]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (folder / "started").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    time.sleep(1.5)  # Long enough for signals that were turned off to be turned on again.
    began = time.monotonic()
    process.send_signal(kind)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 15, "some two seconds of grace, on a machine that may be busy"
    assert not running_in_group(process.pid)
    return process.returncode, errors


def running_in_group(group: int) -> list[str]:
    """The processes of a group that run, and have not only not been collected by the system yet."""
    listed = subprocess.run(["ps", "-axo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [" ".join(row) for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "workers"), [(signal.SIGINT, 1), extended(signal.SIGINT, 2), extended(signal.SIGTERM, 2)]
)
def test_a_signal_ends_every_process_although_a_plugin_hangs(
    tmp_path: Path, kind: signal.Signals, workers: int
) -> None:
    status, errors = stopped(tmp_path, CATCHES_ALL, kind, workers)
    assert status == 130 and "Traceback" not in errors and "finished work is kept" in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("busy", "workers"),
    [
        (KEEPS_THE_LOCK, 2),
        extended(STARTS_A_PROCESS, 1),
        (IGNORES_SIGNALS, 2),
        extended(KEEPS_THE_LOCK, 1),
        extended(STARTS_A_PROCESS, 2),
        extended(IGNORES_SIGNALS, 1),
    ],
    ids=["lock 2", "process 1", "signals 2", "lock 1", "process 2", "signals 1"],
)
def test_nothing_that_a_plugin_does_outlives_a_signal(tmp_path: Path, busy: str, workers: int) -> None:
    status, errors = stopped(tmp_path, busy, signal.SIGTERM, workers)
    assert status in (130, -signal.SIGKILL) and "Traceback" not in errors
    assert "finished work is kept, the same command continues" in errors


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["dissectreport.cli.app", "typer", "filelock"])
def test_a_signal_while_the_program_is_imported_is_one_line(kind: signal.Signals, library: str) -> None:
    program = f"""
import os, sys
from dissectreport.__main__ import main
class Stop:
    def find_spec(name, *_):
        if name == {library!r}:
            os.kill(os.getpid(), {int(kind)})
sys.meta_path.insert(0, Stop)
sys.argv[1:] = ["models"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=accept_ctrl_c,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "dissectreport: stopped\n")


def test_a_copy_of_the_program_ends_by_itself() -> None:
    """What a plug-in starts by fork must not stop the program when it is ended."""
    program = """
import os, signal, time
from dissectreport.cli.stopping import stopping
with stopping():
    child = os.fork()
    if not child:
        time.sleep(60)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    time.sleep(5)
print("ended well")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split("\n") == [str(-signal.SIGTERM), "ended well", ""] and done.stderr == ""


def test_workers_that_are_ended_after_their_work_was_cancelled_leave_no_traceback(tmp_path: Path) -> None:
    """Python 3.11 marks cancelled work as failed when workers are ended, which is an error in a thread of the pool."""
    (tmp_path / "program.py").write_text("""
import time
from dissectreport.cli.stopping import stopping
from dissectreport.run.engine import Workers, kill_workers

if __name__ == "__main__":
    with stopping(), Workers(2) as workers:
        pool = workers._started()
        futures = [pool.submit(time.sleep, 60) for _ in range(12)]
        while not futures[2].running():
            time.sleep(0.01)
        assert any([future.cancel() for future in futures])
        kill_workers()
        time.sleep(0.5)
    print("ended well")
""")
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("ended well\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("check", "x" * 300), "no generator"),
        (("check", "~nobody_of_this_name/net.pkl"), "~nobody_of_this_name"),
    ],
)
def test_what_the_system_refuses_is_one_line(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 1 and line in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "File name too long ('xxx"),
        (RuntimeError("Could not determine home directory."), "there is no such home folder"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_an_error_of_the_machine_that_reaches_a_command_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, reporting():
        raise error
    said = capsys.readouterr().err
    assert left.value.exit_code == 1 and line in said and said.count("\n") == 1 and len(said) < 400
