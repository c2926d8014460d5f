"""The whole run on the planted generator: resumed, extended, damaged, and the same bytes every time."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dissectreport
from dissectreport.analysis.dissection import corrected_rule
from dissectreport.analysis.interventions.intervention_results import causal_sets
from dissectreport.analysis.results.dissection import OWN_UNIT_COLUMNS
from dissectreport.cache import records, store
from dissectreport.cache.reader import CacheReader
from dissectreport.errors import BadOption, CacheError, ModelError, OutputError, SegmenterError, UnknownName
from dissectreport.models.planted import UNIT
from dissectreport.pipeline import journal, prepare
from dissectreport.pipeline.cache_tools import damaged
from dissectreport.pipeline.on_demand import EditOptions, intervene
from dissectreport.pipeline.options import Options
from dissectreport.pipeline.render import load_dissection
from dissectreport.pipeline.reproduce import reproduce
from dissectreport.pipeline.tasks import Task
from dissectreport.report.site.build import write_site
from dissectreport.run.budgets import ARTIFACT_BUDGETS, INTERVENTION_BUDGETS
from dissectreport.run.plan import FORMAT, ROTATIONS
from tests.support.reporters import RecordingReporter
from tests.support.tiers import extended

SMALL = {
    "layers": ("features",),
    "samples": 64,
    "pilot": 32,
    "workers": 1,
    "device": "cpu",
    "interventions": False,
    "artifacts": False,
}


def measured(cache, **changes):
    heard = RecordingReporter()
    dissectreport.measure(Options("planted", cache=cache, **SMALL | changes), heard)
    return heard


def content(folder):
    """The bytes of every file under a folder, by relative path; temporary files left by a kill do not count."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished cache of 64 samples, never interrupted."""
    cache = tmp_path_factory.mktemp("undisturbed")
    measured(cache)
    return cache


@pytest.fixture
def copied(undisturbed, tmp_path):
    """A finished cache of 64 samples that a test may change."""
    return shutil.copytree(undisturbed, tmp_path / "copied")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A finished cache of 480 samples, enough for every test to have its groups."""
    cache = tmp_path_factory.mktemp("large")
    measured(cache, samples=480, pilot=240)
    return cache


@pytest.fixture(scope="module")
def dissected(large):
    """What was found in it; no test changes it."""
    return load_dissection("planted", cache=large)


FEW = {"samples": 32, "pilot": 16}
"""Images of a run that is begun again and again: after every file that it writes."""


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A finished cache of few samples, never interrupted."""
    cache = tmp_path_factory.mktemp("few")
    measured(cache, **FEW)
    return cache


FEWEST = replace(
    ARTIFACT_BUDGETS["quick"],
    real=200,
    side=64,
    dissected=64,
    gradients=16,
    tested=16,
    retested=32,
    second=32,
    size_selection=100,
    scored=100,
    sizes=(2,),
    random_sets=1,
)
"""As few images as a search for artifact units takes."""


def test_every_task_of_a_build_is_in_its_schedule_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setitem(ARTIFACT_BUDGETS, "quick", FEWEST)
    heard = RecordingReporter()
    options = Options("planted", cache=tmp_path / "cache", layers=("features",), quick=True, samples=64, workers=1)
    dissectreport.build(options, tmp_path / "site", heard)
    scheduled = list(heard.schedule.seconds)
    assert [task for task in scheduled if task in heard.tasks] == list(heard.tasks)
    assert len(heard.schedule.steps) == 9 and heard.schedule.total > 0
    assert all(steps[-1][0] == steps[-1][1] for task, steps in heard.tasks.items() if task != Task.ANALYSIS)


class Killed(BaseException):
    """What a kill at a write point looks like from inside."""


@pytest.mark.slow
def test_killed_at_any_write_and_run_again_the_cache_has_the_same_bytes(few, tmp_path, monkeypatch):
    replace, kills = os.replace, 0
    while True:
        left = iter([True])

        def interrupted(source, target, left=left):
            if Path(target).parent.name != journal.FOLDER and next(left, None) is None:
                raise Killed  # How far a run is is written anew by each, and is no result.
            replace(source, target)

        monkeypatch.setattr(os, "replace", interrupted)
        try:
            measured(tmp_path, **FEW)
        except Killed:
            kills += 1
            monkeypatch.undo()
            continue
        break
    monkeypatch.undo()
    assert kills == len(content(few)) - 1
    assert content(tmp_path) == content(few)


@pytest.mark.slow
def test_a_full_disk_at_any_write_loses_nothing_and_the_next_run_finishes(few, tmp_path, monkeypatch):
    fdopen, failures = os.fdopen, []
    while True:
        left = iter(range(2))

        def full(handle, mode, left=left):
            if mode == "wb" and next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return fdopen(handle, mode)

        monkeypatch.setattr(os, "fdopen", full)
        try:
            measured(tmp_path, **FEW)
        except OutputError as error:
            failures.append(str(error))
            monkeypatch.undo()
            continue
        break
    assert failures
    assert all("no space left" in said and "\n" not in said for said in failures)
    assert content(tmp_path) == content(few)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_after_sigkill_the_next_run_continues_to_the_same_bytes(undisturbed, tmp_path):
    code = (
        "from pathlib import Path\nimport dissectreport\n"
        f"dissectreport.measure(dissectreport.Options('planted', cache=Path({str(tmp_path)!r}), **{SMALL!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while (
        not list(tmp_path.glob("measurements/*/samples-*")) and time.monotonic() < deadline and process.poll() is None
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert content(tmp_path) != content(undisturbed)
    measured(tmp_path)
    assert content(tmp_path) == content(undisturbed)


@pytest.mark.slow
def test_workers_leave_when_their_parent_is_killed(tmp_path):
    many = SMALL | {"samples": 100_000, "workers": 2, "controls": False}
    code = (
        "from pathlib import Path\nimport dissectreport\n"
        "if __name__ == '__main__':\n"
        f"    options = dissectreport.Options('planted', cache=Path({str(tmp_path)!r}), **{many!r})\n"
        "    dissectreport.measure(options)"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)])
    until(lambda: list(tmp_path.glob("measurements/*/samples-*")) or process.poll() is not None)
    workers = [pid for pid in running_pids() if parent_of(pid) == process.pid]
    assert len(workers) >= 2
    process.kill()
    process.wait()
    until(lambda: not set(workers) & set(running_pids()))
    assert not set(workers) & set(running_pids())


def until(holds, seconds=90):
    """Wait until `holds()` is true, or for so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def running_pids():
    """Process numbers that are running, on systems that list them; zombies do not count."""
    listed = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, state in (line.split()[:2] for line in listed.splitlines()) if "Z" not in state]


def parent_of(pid):
    """The number of a process's parent, 0 if it is gone."""
    shown = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return int(shown or 0)


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(undisturbed, tmp_path):
    measured(tmp_path, workers=2)
    assert content(tmp_path) == content(undisturbed)


def test_more_samples_reuse_every_finished_shard(copied):
    before = {path for path in content(copied) if "samples-" in path}
    heard = measured(copied, samples=96)
    counting = next(steps for task, steps in heard.tasks.items() if task == Task.COUNTING)
    assert counting[0] == (64, 96)
    assert before < set(content(copied))


def test_with_fewer_than_five_groups_nothing_is_claimed(copied):
    for samples, has_enough_images in ((144, False), (160, True)):
        measured(copied, samples=samples, controls=False)
        found = load_dissection("planted", cache=copied)
        assert (found.provenance.groups, found.has_enough_images) == (samples // 32, has_enough_images)
        assert any("too few to tell" in note for note in found.notes) == (not has_enough_images)


def test_a_layer_that_is_added_leaves_the_others_alone(copied):
    old = {path: (copied / path).stat().st_mtime_ns for path in content(copied) if "samples-" in path}
    measured(copied, layers=("features", "mixed"))
    assert all((copied / path).stat().st_mtime_ns == then for path, then in old.items())


def test_a_second_run_of_the_same_measures_nothing(undisturbed):
    assert measured(undisturbed).tasks == {}


def test_a_damaged_shard_is_reported_and_measured_again(undisturbed, copied):
    victim = sorted(copied.glob("measurements/*/samples-*.npz"))[3]
    victim.write_bytes(victim.read_bytes()[:100])
    assert damaged(copied) == [victim]
    assert any("was damaged; it is measured again" in line for line in measured(copied).lines)
    assert content(copied) == content(undisturbed)


def test_rendering_from_a_damaged_cache_says_what_would_do(copied):
    for victim in copied.glob("measurements/*/samples-*.npz"):
        victim.write_bytes(b"")
    with pytest.raises(CacheError, match="`dissectreport measure` measures it again"):
        load_dissection("planted", cache=copied)


def test_a_record_of_another_version_is_refused(copied):
    path = next((copied / "records").glob("*.json"))
    path.write_text(path.read_text().replace(f'"version": {records.VERSION}', '"version": 1'))
    with pytest.raises(
        CacheError,
        match=rf"has format 1\.{FORMAT} of another version of dissectreport.*run `dissectreport measure planted` again",
    ):
        load_dissection("planted", cache=copied)


def test_a_run_can_be_chosen_and_one_remembered_as_before_can_be_read(tmp_path):
    measured(tmp_path, samples=16)
    (path,) = (tmp_path / "records").glob("*.json")
    earlier = tmp_path / "records" / "planted--corrected.json"
    saved = {name: value for name, value in store.read_json(path).items() if name not in ("run", store.DIGEST)}
    earlier.write_bytes(store.sealed_json(saved, earlier.name))
    path.unlink()
    measured(tmp_path, samples=32)
    assert load_dissection("planted", cache=tmp_path).provenance.samples == 32
    assert load_dissection("planted", cache=tmp_path, samples=16, layers=("features",)).provenance.samples == 16
    measured(tmp_path, samples=16)
    assert not earlier.exists(), "the same run again replaces it"
    assert load_dissection("planted", cache=tmp_path).provenance.samples == 16
    with pytest.raises(UnknownName, match="no run of planted under rule corrected with layers mixed; there are 16"):
        load_dissection("planted", cache=tmp_path, layers=("mixed",))


def test_shards_of_different_devices_merge_only_when_asked(copied):
    counts = next(f for f in store.folders(copied / "measurements") if f.facts()["kind"] == "counts")
    name = counts.names()[0]
    counts.save(name, {**counts.load(name), "device": np.array("cuda")})
    with pytest.raises(CacheError, match=r"different devices.*--mixed-devices"):
        load_dissection("planted", cache=copied)
    measured(copied, mixed_devices=True)
    assert any("merged" in note for note in load_dissection("planted", cache=copied).notes)


@pytest.mark.slow
def test_the_tables_say_what_was_planted(dissected):
    from dissectreport.models import planted

    truth, layer = planted.load().truth, dissected.layers[0]
    table = layer.table.set_index("unit")
    assert (table.loc[list(truth.dead), "unit_state"] == "dead").all()
    assert not table.loc[list(truth.position_only), "interpretable"].any()
    assert not table.loc[list(truth.noise), "interpretable"].any()
    assert table["iou"].between(table["iou_low"], table["iou_high"]).all()
    assert np.allclose(table["iou_full_grid"], table["iou"], rtol=0, atol=1e-12)
    measured_row = layer.controls.query("control == 'measured' and category == ''").iloc[0]
    chance_row = layer.controls.query("control == 'chance' and category == ''").iloc[0]
    assert measured_row["units"] == table["interpretable"].sum() and chance_row["units"] == 0
    assert set(layer.controls["control"]) == {"measured", "random_directions", "untrained", "chance"}
    assert len(layer.by_rotation) == len(ROTATIONS)
    assert list(layer.own_units) == list(OWN_UNIT_COLUMNS)
    # A window hides the wall behind it, where the unit of the wall is on too; no other unit is on for several concepts.
    better = table[table["formula_better"]]
    assert better.index.tolist() == [planted.UNIT["wall"]]
    assert better["formula"].iloc[0] == "wall OR window"
    assert layer.formulas is not None
    assert (layer.formulas.better, layer.formulas.better_by_chance) == (1, 0)


def test_a_layer_scored_a_few_units_at_a_time_has_the_same_tables(copied, monkeypatch):
    measured(copied, samples=160)
    (whole,) = load_dissection("planted", cache=copied).layers
    monkeypatch.setattr(corrected_rule, "AT_ONCE", 13)
    (parts,) = load_dissection("planted", cache=copied).layers
    for name in ("table", "labels", "pairs", "controls", "correlated"):
        assert getattr(whole, name).equals(getattr(parts, name)), name
    for name, value in vars(whole.curves).items():
        assert np.array_equal(value, getattr(parts.curves, name)), name


def test_every_column_of_every_table_is_in_the_data_dictionary(dissected):
    from dissectreport.analysis.results.dissection import COLUMNS

    tables = [dissected.concepts, dissected.vocabulary]
    for layer in dissected.layers:
        tables += [layer.table, layer.labels, layer.pairs, layer.controls, layer.correlated]
    assert {column for table in tables for column in table.columns} <= set(COLUMNS)


def test_shown_images_are_the_ones_with_the_largest_peaks(dissected):
    examples = dissected.layers[0].examples
    top = examples.peaks[:, examples.kind == "top"]
    assert (np.diff(top, axis=1) <= 0).all()
    assert np.allclose(examples.maps.max((2, 3)), examples.peaks, rtol=2e-3, atol=1e-3)


def test_the_report_is_the_same_bytes_from_the_same_cache_without_torch(large, tmp_path):
    dissectreport.render("planted", tmp_path / "one", cache=large)
    code = (
        "import sys; sys.modules['torch'] = None\nfrom pathlib import Path\n"
        "import dissectreport\n"
        f"dissectreport.render('planted', Path({str(tmp_path / 'two')!r}), cache=Path({str(large)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.extended
@pytest.mark.slow
def test_killed_at_any_write_the_site_is_finished_by_the_next_run(undisturbed, tmp_path, monkeypatch):
    wanted, dissection = tmp_path / "wanted", load_dissection("planted", cache=undisturbed)
    replace, writes = os.replace, 0

    def counted(source, target):
        nonlocal writes
        writes += 1
        replace(source, target)

    def killed_after(limit):
        done = 0

        def interrupted(source, target):
            nonlocal done
            if done == limit:
                raise Killed
            done += 1
            replace(source, target)

        return interrupted

    monkeypatch.setattr(os, "replace", counted)
    write_site(dissection, wanted)
    for limit in (0, writes // 2, writes - 1):
        monkeypatch.setattr(os, "replace", killed_after(limit))
        with pytest.raises(Killed):
            write_site(dissection, tmp_path / f"site{limit}")
        monkeypatch.setattr(os, "replace", replace)
        write_site(dissection, tmp_path / f"site{limit}")
        assert content(tmp_path / f"site{limit}") == content(wanted)


def plugin(tmp_path, text):
    """A file with a plug-in, named as on the command line."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    return f"{path}:load"


HEAD = "import torch\nfrom dataclasses import replace\nfrom dissectreport.models import planted\n"


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (
            "g.module.features.register_forward_hook(lambda m, a, o: o * float('nan'))",
            ModelError,
            "not finite for sample 0",
        ),
        ("g.module.features.register_forward_hook(lambda m, a, o: (o, o))", ModelError, "returns a tuple"),
        ("g.module.features.register_forward_hook(lambda m, a, o: o[0])", ModelError, "units need"),
    ],
)
def test_a_layer_that_misbehaves_is_one_line(tmp_path, body, error, words, monkeypatch):
    model = plugin(tmp_path, HEAD + f"def load():\n    g = planted.load()\n    {body}\n    return g\n")
    with pytest.raises(error, match=words) as raised:
        dissectreport.measure(Options(model, cache=tmp_path / "cache", **SMALL))
    assert "\n" not in str(raised.value)


OWN = """
import torch
from torch import nn
from dissectreport.models.network_generator import NetworkGenerator


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Linear(8, 3)

    def forward(self, z):
        {body}
        return self.block(z)[:, :, None, None].expand(-1, 3, 16, 16)


def load():
    return NetworkGenerator(
        name="own", module=Network(), latent_shape=({latent},), image_size=({size}, {size}), layers=("block",),
        default_layers=("block",), reinitialise={reinitialise}, facts={{"segmenter": "colour"}},
    )
"""
REMADE = "lambda seed: Network()"


@pytest.mark.parametrize(
    ("size", "latent", "body", "reinitialise", "line"),
    [
        (32, 8, "", REMADE, r"'own' declares image_size \(32, 32\), but makes images of 16 x 16; set image_size=\(16"),
        (16, 9, "", REMADE, r"'own' failed on 16 latents of its latent_shape \(9,\): RuntimeError: .*shapes cannot"),
        (16, 8, "raise ValueError('so it is')", REMADE, r"'own' failed on 16 latents .*: ValueError: so it is"),
        (16, 8, "return [1]", REMADE, "the network returns a list instead of images .it contains int.; name the part"),
        (16, 8, "z = z[:4]", REMADE, r"'own' made images of shape \(4, 3, 16, 16\); need \(16, 3, h, w\)"),
        (16, 8, "", "lambda seed: 1 / 0", "'own' cannot be made anew with random weights: ZeroDivisionError: division"),
    ],
)
def test_a_generator_that_is_not_what_it_declares_is_one_line(tmp_path, size, latent, body, reinitialise, line):
    model = plugin(tmp_path, OWN.format(size=size, latent=latent, body=body or "pass", reinitialise=reinitialise))
    small = SMALL | {"layers": ("block",), "samples": 16}
    with pytest.raises(ModelError, match=line) as raised:
        dissectreport.measure(Options(model, cache=tmp_path / "cache", **small))
    assert "\n" not in str(raised.value)


def test_without_a_way_to_reinitialise_there_is_no_untrained_control_and_a_line_says_so(tmp_path):
    model = plugin(tmp_path, OWN.format(size=16, latent=8, body="pass", reinitialise="None"))
    small = SMALL | {"layers": ("block",), "samples": 16}
    heard = RecordingReporter()
    dissectreport.measure(Options(model, cache=tmp_path / "cache", **small), heard)
    assert any(line.startswith("no untrained control: own") for line in heard.lines)
    found = load_dissection(model, cache=tmp_path / "cache")
    assert "untrained" not in set(found.layers[0].controls["control"])
    assert any("no untrained control" in note for note in found.notes)
    assert found.title == "own"


@pytest.mark.extended
def test_networks_that_are_not_finite_are_one_line_whatever_the_segmenter(tmp_path):
    body = "g = planted.load()\n    call = g.module.forward\n    g.module.forward = lambda z: call(z) * float('nan')"
    model = plugin(tmp_path, HEAD + f"def load():\n    {body}\n    return g\n")
    for segmenter in ("colour", "scenes", "planted"):
        with pytest.raises(ModelError, match="'output' is not finite for sample 0"):
            dissectreport.measure(Options(model, segmenter=segmenter, cache=tmp_path / "cache", **SMALL))


def test_a_segmenter_that_finds_nothing_is_one_line(tmp_path):
    name = plugin(tmp_path, SEGMENTER.format(value="labels * 0"))
    few = SMALL | {"samples": 16}
    dissectreport.measure(Options("planted", segmenter=name, cache=tmp_path / "cache", **few))
    with pytest.raises(SegmenterError, match="'wrong' found no concept in 16 images of planted"):
        load_dissection("planted", cache=tmp_path / "cache")


@pytest.mark.extended
def test_an_edited_model_file_is_another_model(tmp_path):
    for scale in (1, 2):
        body = f"g = planted.load()\n    g.module.features.register_forward_hook(lambda m, a, o: o * {scale})"
        model = plugin(tmp_path, HEAD + f"def load():\n    {body}\n    return g\n")
        dissectreport.measure(Options(model, cache=tmp_path / "cache", **SMALL | {"samples": 16}))
    kinds = [place.facts()["kind"] for place in store.folders(tmp_path / "cache" / "measurements")]
    assert kinds.count("counts") == 2 * (2 + len(ROTATIONS))


SEGMENTER = """
from dissectreport.segmenters import planted
class Wrong:
    name, identity = "wrong", "wrong"
    vocabulary = planted.load().vocabulary
    def __call__(self, images):
        labels = planted.load()(images)
        return {value}
    def confidence(self, images):
        return images[:, 0] * 0 + 1
    def to(self, device):
        return self
def load():
    return Wrong()
"""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("labels + 1000", "returned label 1\\d\\d\\d; its vocabulary has 0 to"),
        extended("labels - 5", "returned label -5"),
        ("labels[:, 0]", "must return whole numbers of shape"),
        extended("labels[:1]", "must return whole numbers of shape"),
        extended("labels.float()", "torch.float32"),
        extended("labels[:, :0]", "must return whole numbers of shape"),
        ("labels.numpy()", "returned a ndarray as labels; need a tensor"),
        ("1 / 0", "failed at its labels: ZeroDivisionError"),
    ],
)
def test_a_segmenter_whose_labels_do_not_fit_is_one_line(tmp_path, value, words):
    name = plugin(tmp_path, SEGMENTER.format(value=value))
    with pytest.raises(SegmenterError, match=words):
        dissectreport.measure(Options("planted", segmenter=name, cache=tmp_path / "cache", **SMALL))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"layers": ("featurs",)}, UnknownName, "did you mean features"),
        ({"concepts": ("windw",), "interventions": True}, UnknownName, "no concept 'windw'; did you mean window"),
        ({"layers": ("features", "features")}, BadOption, "names a layer twice"),
        ({"samples": 0}, BadOption, "at least 1, not 0"),
        ({"samples": -5}, BadOption, "at least 1, not -5"),
        ({"grid": -1}, BadOption, "--grid"),
        ({"seed": -1}, BadOption, "--seed"),
        ({"rule": "correct"}, UnknownName, "did you mean corrected"),
        ({"device": "tpu"}, BadOption, "usable: auto, cpu"),
        ({"workers": -2}, BadOption, "--workers must be at least 0, not -2"),
        ({"rule": "pnas2020", "grid": 64}, BadOption, "has a grid of its own"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_measured(tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        measured(tmp_path, **changes)
    assert not content(tmp_path)


def test_one_sample_is_enough_to_run_but_nothing_is_claimed(tmp_path):
    measured(tmp_path, samples=1)
    layer = load_dissection("planted", cache=tmp_path).layers[0]
    assert not layer.table["interpretable"].any()
    dissectreport.render("planted", tmp_path / "site", cache=tmp_path)


@pytest.mark.extended
def test_a_finer_grid_counts_more_pixels(tmp_path):
    measured(tmp_path, grid=96, samples=32)
    dissection = load_dissection("planted", cache=tmp_path)
    assert int(dissection.layers[0].histogram[0].sum()) == 32 * 96 * 96


def test_what_was_never_measured_is_named(tmp_path):
    with pytest.raises(UnknownName, match="no measurement under rule corrected of 'planted'"):
        load_dissection("planted", cache=tmp_path)
    assert not Path(tmp_path / "records").exists()


# --- interventions ---


INTERVENED = {"interventions": True, "controls": False, "budget": "quick", "precision": "float32", "samples": 192}
SHIPPED = INTERVENTION_BUDGETS["quick"]
COARSE = replace(
    SHIPPED,
    singles=3,
    sampled=6,
    sampled_images=16,
    variant_images=10,
    confidence_images=8,
    random_sizes=(10, 20),
    random_sets=3,
    learned=True,
    learned_mask_tries=16,
    learned_mask_samples=8,
    learned_mask_held_out=4,
    learned_mask_steps=8,
    learned_mask_trial_steps=4,
    penalties=(0.005, 0.05),
    greedy_units=2,
    greedy_among=4,
    greedy_images=4,
)


KINDS = {"search", "first order", "rankings", "trials", "ablations", "random ablations", "insertions"}
KINDS |= {"sampled ablations", "variants", "contexts", "edited pictures"}
"""What is measured of interventions."""


@pytest.fixture(autouse=True, scope="module")
def small_budget():
    """The budget of a quick run, and learned orders too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(INTERVENTION_BUDGETS, "quick", COARSE)
        yield


@pytest.fixture(scope="module")
def intervened(tmp_path_factory):
    """A cache with interventions on the planted generator, never interrupted."""
    cache = tmp_path_factory.mktemp("intervened")
    measured(cache, **INTERVENED)
    return cache


@pytest.mark.extended
@pytest.mark.slow
def test_interventions_come_out_the_same_in_one_process_and_in_two(intervened, tmp_path):
    cache = shutil.copytree(intervened, tmp_path / "cache")
    before = [folder.facts()["kind"] for folder in store.folders(cache / "measurements")]
    for folder in store.folders(cache / "measurements"):
        if folder.facts()["kind"] in KINDS:
            shutil.rmtree(folder.folder)
    measured(cache, **INTERVENED | {"workers": 2})
    assert set(before) >= KINDS and content(cache) == content(intervened)


@pytest.mark.slow
def test_killed_interventions_continue_to_the_same_bytes(intervened, tmp_path):
    shutil.copytree(intervened, tmp_path / "cache")
    for path in sorted((tmp_path / "cache" / "measurements").glob("*/*.npz"))[::3]:
        path.unlink()
    heard = measured(tmp_path / "cache", **INTERVENED)
    assert content(tmp_path / "cache") == content(intervened)
    assert not any("damaged" in line for line in heard.lines)


def test_damaged_interventions_are_reported_and_made_again(intervened, tmp_path):
    shutil.copytree(intervened, tmp_path / "cache")
    victims = []
    for folder in store.folders(tmp_path / "cache" / "measurements"):
        if folder.facts()["kind"] in KINDS:
            victims.append(folder.path(folder.names()[0]))
            victims[-1].write_bytes(b"no")
    heard = measured(tmp_path / "cache", **INTERVENED)
    assert len(victims) == len(KINDS)
    assert all(any(str(victim) in line for line in heard.lines) for victim in victims)
    assert content(tmp_path / "cache") == content(intervened)


@pytest.mark.extended
def test_more_held_out_latents_reuse_those_that_were_measured(intervened, tmp_path):
    shutil.copytree(intervened, tmp_path / "cache")
    heard = measured(tmp_path / "cache", **INTERVENED | {"intervention_samples": 160})
    assert not any("learning" in task and steps[0][0] < steps[0][1] for task, steps in heard.tasks.items())
    ((done, total), *_) = next(steps for task, steps in heard.tasks.items() if task.startswith("ablating"))
    assert (done, total) == (128, 160), "128 of 160 samples were there"
    assert load_dissection("planted", cache=tmp_path / "cache").interventions.samples == 160


def test_what_is_printed_of_interventions_is_what_the_planted_generator_does(intervened):
    found = load_dissection("planted", cache=intervened).interventions
    assert found.layer == "features" and found.samples == 128
    assert len(found.concepts) == 2 and set(found.concepts["concept"]) <= {"sky", "grass", "house", "tree", "ball"}
    exact = found.effects.dropna(subset="measured_effect").set_index(["concept", "unit"])["measured_effect"]
    assert exact["grass", UNIT["grass"]] == 1
    assert set(found.curves["ranking"]) == {"gradient", "learned_mask", "greedy", "IoU", "random"}
    assert (found.removal["removed"] <= 1).all()
    inside = found.removal[["random_low", "random", "random_high"]].to_numpy()
    assert (np.diff(inside) >= 0).all()
    assert len(found.context) and (found.context["insertions"] >= 30).all()
    assert found.agreement["units"].eq(6).all() and found.agreement["images"].eq(16).all()
    assert found.variants["concept"].tolist() == found.concepts["concept"].tolist()
    edits = found.variants.set_index("concept").loc["grass"]
    assert edits["removed_zero"] == 1 and edits["images"] == 10 and not edits["segmenter_fails"]
    assert edits["ace"] > 1, "with its units on everywhere there is more grass"
    first = found.effects[found.effects["rank"] == 1].set_index("concept")["unit"]
    assert first["grass"] == UNIT["grass"]


@pytest.mark.extended
def test_a_quick_run_learns_no_ranking_and_its_pages_do_not_mention_any(copied, tmp_path, monkeypatch):
    monkeypatch.setitem(INTERVENTION_BUDGETS, "quick", SHIPPED)
    measured(copied, **INTERVENED | {"samples": 64, "controls": True})
    whole = load_dissection("planted", cache=copied)
    assert set(whole.interventions.curves["ranking"]) == {"gradient", "IoU", "random"}
    assert set(whole.interventions.concepts["best_ranking"]) <= {"gradient", "IoU"}
    assert whole.interventions.agreement["spearman"].isna().all(), "two units have no rank correlation"
    assert not any(name.startswith(("learned_mask", "greedy")) for name in whole.interventions.settings["budget"])
    random = whole.interventions.curves.query("ranking == 'random'")
    assert set(random["units"]) - {0} == {10}, "of 24 units 20 cannot be drawn twice"
    dissectreport.render("planted", tmp_path / "site", cache=copied)
    for path in (tmp_path / "site" / "planted").rglob("*.html"):
        assert "learned mask" not in path.read_text("utf-8") and ">nan" not in path.read_text("utf-8"), path


def test_a_unit_that_only_correlates_has_a_high_corrected_iou_and_no_effect(large, tmp_path):
    cache = shutil.copytree(large, tmp_path / "cache")
    measured(cache, **INTERVENED | {"concepts": ("ball",), "samples": 480, "pilot": 240})
    found = load_dissection("planted", cache=cache).interventions
    rows = found.effects.set_index("unit")
    ball, mirror = rows.loc[UNIT["ball"]], rows.loc[UNIT["ball_mirror"]]
    assert mirror["corrected_iou"] > 0.5 and abs(mirror["estimate"]) < 1e-4
    assert ball["rank"] == 1 and ball["measured_effect"] == 1
    orders = found.rankings.set_index(["ranking", "rank"])["unit"]
    assert orders["gradient", 1] == orders["learned_mask", 1] == orders["greedy", 1] == UNIT["ball"]
    assert {orders["IoU", 1], orders["IoU", 2]} == {UNIT["ball"], UNIT["ball_mirror"]}


@pytest.mark.extended
def test_the_concepts_and_the_layer_of_interventions_can_be_chosen(copied):
    chosen = {"concepts": ("window", "roof"), "layers": ("features", "mixed"), "intervention_layer": "mixed"}
    measured(copied, **INTERVENED | {"samples": 64} | chosen)
    found = load_dissection("planted", cache=copied).interventions
    assert found.layer == "mixed" and found.concepts["concept"].tolist() == ["window", "roof"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"concepts": ("windw",)}, "no concept 'windw'; did you mean window"),
        (
            {"intervention_layer": "mixed"},
            "no measured layer 'mixed'; did you mean|no measured layer 'mixed'; there are",
        ),
        ({"intervention_samples": 64}, "--intervention-samples must be at least 128, not 64"),
        ({"budget": "papr"}, "no budget 'papr'; did you mean paper"),
        ({"precision": "float16"}, "--precision is auto, float32 or bfloat16, not float16"),
        ({"constant": "max"}, "--constant is quantile or mean, not max"),
    ],
)
def test_interventions_that_cannot_be_made_are_refused_in_one_line(tmp_path, changes, line):
    with pytest.raises((BadOption, UnknownName), match=line):
        measured(tmp_path, **INTERVENED | changes)


def test_a_concept_that_never_occurs_is_refused(tmp_path):
    with pytest.raises(BadOption, match="'window' occurs in none of 8 images"):
        measured(tmp_path, **INTERVENED | {"samples": 8, "concepts": ("window",), "seed": 0})


def test_without_gradients_there_are_no_interventions_and_it_is_said(tmp_path):
    file = tmp_path / "hard.py"
    file.write_text(
        "from dissectreport.segmenters.colour import IDENTITY, ColourSegmenter\n\n\n"
        "class Hard:\n    name, identity, vocabulary = 'hard', IDENTITY, ColourSegmenter.vocabulary\n"
        "    __call__ = ColourSegmenter.__call__\n    confidence, to = ColourSegmenter.confidence, ColourSegmenter.to\n"
    )
    changes = {"segmenter": f"{file}:Hard", "samples": 64}
    heard = measured(tmp_path, **INTERVENED | changes)
    assert any("no interventions: segmenter 'hard' gives no probabilities" in line for line in heard.lines)
    with pytest.raises(SegmenterError, match="gives no probabilities"):
        measured(tmp_path, **INTERVENED | changes | {"concepts": ("red",)})


@pytest.mark.extended
def test_interventions_follow_a_published_rule_too(tmp_path):
    measured(tmp_path, **INTERVENED | {"rule": "iclr2019", "samples": 96, "concepts": ("grass",)})
    found = load_dissection("planted", "iclr2019", cache=tmp_path).interventions
    assert found.rankings.query("ranking == 'gradient' and rank == 1")["unit"].tolist() == [UNIT["grass"]]
    assert found.removal.query("units == 10")["removed"].min() == 1


def test_the_causal_set_that_is_turned_off_on_demand_is_the_one_that_the_pages_show(intervened):
    found = load_dissection("planted", cache=intervened).interventions
    record = records.runs(intervened, "planted", "corrected")[0]
    reader = CacheReader(intervened / "measurements")
    known = causal_sets(record.interventions, record.vocabulary, reader, "features")
    assert known == {concept: shown.ablated.units for concept, shown in found.pictures.items()}
    assert causal_sets(record.interventions, record.vocabulary, reader, "mixed") == {}


def test_one_change_on_demand_is_the_planted_change(intervened):
    options = Options("planted", workers=1, device="cpu", precision="float32", cache=intervened)
    wish = EditOptions((UNIT["ball"],), "features", concepts=("ball",))
    table = intervene(options, wish).table
    assert table["concept"][0] == "ball" and table["after"][0] == 0 and table["change"][0] == -1
    inserted = intervene(options, EditOptions((UNIT["ball"],), "features", "insert", "1", "0,0 7,7")).table
    assert inserted.set_index("concept")["change"]["ball"] > 0
    nothing = intervene(options, EditOptions((UNIT["ball_mirror"],), "features", "ablate", "resample")).table
    assert (nothing["change"] == 0).all()
    known = intervene(options, EditOptions((), "features", concepts=("grass",))).table
    assert known["concept"][0] == "grass" and known["change"][0] == -1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"units": ()}, "no units were named"),
        ({"units": (3, 99)}, "unit 99 is not in features, whose units are 0 to 23"),
        ({"at": "8,0"}, "--at 8,0 is outside: rows are 0 to 7"),
        ({"at": "here"}, "--at is 'everywhere', or row,column"),
        ({"value": "much"}, "--value is zero, mean, resample, quantile or a number, not 'much'"),
        ({"value": "nan"}, "--value must be a finite number"),
        ({"mode": "delete"}, "--mode is ablate or insert, not delete"),
        ({"samples": 100}, "--samples must be at least 128, not 100"),
        ({"layer": "featurs"}, "no layer of planted 'featurs'; did you mean features"),
        ({"concepts": ("tre",)}, "no concept 'tre'; did you mean tree"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_in_one_line(changes, line):
    wish = EditOptions(**{"units": (3,), "layer": "features"} | changes)
    with pytest.raises((BadOption, UnknownName), match=line):
        intervene(Options("planted", workers=1, device="cpu"), wish)


def test_a_quick_run_is_coarser_where_nothing_else_is_asked_for(tmp_path):
    quick = prepare.prepare(Options("scenes_pgan", quick=True, cache=tmp_path))
    assert (quick.samples, quick.plan.pilot, quick.layers) == (192, 96, ("layer2", "layer6", "layer10"))
    assert quick.plan.grid == 32
    assert quick.source.second == "" and quick.artifacts is not None and quick.artifacts.second is None
    assert quick.intervention is not None
    assert quick.intervention.budget.name == "quick"
    assert "--quick" in reproduce(quick)
    asked = prepare.prepare(
        Options("scenes_pgan", quick=True, samples=96, layers=("layer4",), budget="default", grid=16)
    )
    assert (asked.samples, asked.layers, asked.plan.grid) == (96, ("layer4",), 16)
    assert prepare.prepare(Options("scenes_pgan", quick=True, rule="iclr2019")).plan.grid == 64, "the rule's own"
    assert asked.intervention is not None
    assert asked.intervention.budget.name == "default"
