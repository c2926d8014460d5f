"""Checkpoints load from folders and the hub's cache, or say in one line why not; images are prepared as by them."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dissectreport.checkpoints.reporting import reporting_to
from dissectreport.errors import SegmenterError, UnknownName, WeightsError
from dissectreport.segmenters import ade20k, hub, words
from dissectreport.segmenters.hub import HubCheckpoint, Preprocessor, load_checkpoint, quiet, size_within
from tests.support.reporters import RecordingReporter
from tests.support.tiny_checkpoints import BUILT, pictures, save, segformer, transformers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("segformer", tmp_path_factory.mktemp("segformer"))


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub that cannot be reached, and its cache with one repository at one commit."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--owner--name"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    return place


COMMIT = "0123456789abcdef0123456789abcdef01234567"


# --- which checkpoint ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "revision"),
    [("owner/name", "owner/name", ""), ("owner/name@v1.2", "owner/name", "v1.2"), ("name@a/b", "name", "a/b")],
)
def test_a_revision_stands_behind_an_at(text: str, place: str, revision: str) -> None:
    assert HubCheckpoint.of(text) == HubCheckpoint(place, revision)
    assert str(HubCheckpoint.of(text)) == text


def test_a_folder_may_have_an_at_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine@home").mkdir()
    monkeypatch.chdir(tmp_path)
    assert HubCheckpoint.of("./mine@home") == HubCheckpoint("mine@home")
    assert HubCheckpoint.of("./mine@home").local


@pytest.mark.parametrize("text", ["./absent", "/absent/folder", "~/no such folder"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(text: str) -> None:
    with pytest.raises(UnknownName, match="there is no folder"):
        HubCheckpoint.of(text)


# --- loading ---------------------------------------------------------------------------------------------------


def test_a_repository_in_the_cache_loads_without_a_network(cached: Path, folder: Path) -> None:
    found = ade20k.load("owner/name")
    assert found.name == "ade20k:owner/name"
    assert found.identity == ade20k.load(str(folder)).identity


def test_a_revision_is_the_one_that_was_asked_for(cached: Path) -> None:
    main = ade20k.load("owner/name")
    other = "f" * 40
    save("segformer", cached / "snapshots" / other, segformer(hidden_act="relu"))
    assert ade20k.load(f"owner/name@{COMMIT}").identity == main.identity
    assert ade20k.load(f"owner/name@{other}").identity != main.identity


@pytest.mark.parametrize("text", ["another/name", f"owner/name@{'e' * 40}", ""])
def test_what_is_not_in_the_cache_is_one_line_that_says_what_to_do(cached: Path, text: str) -> None:
    with pytest.raises(WeightsError, match=r"cannot be reached.*give \./folder; the segmenters scenes") as refused:
        ade20k.load(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GatedRepoError", "ask for access on https://huggingface.co/owner/name"),
        ("RepositoryNotFoundError", "the hub has no such repository"),
        ("RevisionNotFoundError", "it has no revision 'v2'"),
        ("LocalEntryNotFoundError", "cannot be reached"),
        ("HFValidationError", "neither a folder nor owner/name"),
    ],
)
def test_what_the_hub_answers_becomes_one_line(name: str, message: str) -> None:
    from huggingface_hub import errors

    def load(where: dict[str, Any]) -> None:
        answer = getattr(errors, name)
        raise OSError("a page of text\nwith lines") from answer.__new__(answer)

    with pytest.raises(WeightsError, match=message) as refused:
        load_checkpoint(HubCheckpoint("owner/name", "v2"), load)
    assert "\n" not in str(refused.value)


def test_a_version_of_transformers_that_is_too_old_is_refused() -> None:
    def load(where: dict[str, Any]) -> None:
        raise ImportError("\nAutoImageProcessor requires the Torchvision library but it was not found\n")

    with pytest.raises(WeightsError, match=r"before 5.23 needs torchvision; pip install --upgrade transformers"):
        load_checkpoint(HubCheckpoint("owner/name"), load)


def test_the_cache_is_asked_first_and_the_network_only_where_it_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(where: dict[str, Any]) -> str:
        asked.append(where["local_files_only"])
        if len(asked) == 1:
            raise OSError("not there")
        return "loaded"

    monkeypatch.setattr(hub, "hub_resolves", lambda: True)
    assert load_checkpoint(HubCheckpoint("owner/name"), load) == "loaded"
    assert asked == [True, False]


def test_nothing_is_asked_of_a_network_where_downloads_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(where: dict[str, Any]) -> None:
        asked.append(where["local_files_only"])
        raise OSError("not there")

    monkeypatch.setenv("DISSECTREPORT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="not there"):
        load_checkpoint(HubCheckpoint("owner/name"), load)
    assert asked == [True]


def test_a_hub_whose_name_leads_nowhere_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load(where: dict[str, Any]) -> None:
        asked.append(where["local_files_only"])
        raise OSError("not there")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    with pytest.raises(WeightsError, match="not there"):
        load_checkpoint(HubCheckpoint("owner/name"), load)
    assert asked == [True]
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    with pytest.raises(WeightsError):
        load_checkpoint(HubCheckpoint("owner/name"), load)
    assert asked == [True, True, False]


def test_a_download_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = RecordingReporter()

    def load(where: dict[str, Any]) -> None:
        if where["local_files_only"]:
            raise OSError("not there")

    monkeypatch.setattr(hub, "hub_resolves", lambda: True)
    with reporting_to(reporter):
        load_checkpoint(HubCheckpoint("owner/name", "v2"), load)
        load_checkpoint(HubCheckpoint("owner/name", "v2"), load)
    assert reporter.lines == ["downloading owner/name@v2 from huggingface.co; later runs find it in its cache"]


def test_code_of_a_checkpoint_is_never_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="it contains code, which is never run"):
        ade20k.load(str(tmp_path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda place: (place / "model.safetensors").write_bytes(b"nothing"), "cannot be loaded: "),
        (lambda place: (place / "model.safetensors").unlink(), "no file named model.safetensors"),
        (lambda place: (place / "config.json").unlink(), "it has no config.json with a model_type"),
        (lambda place: (place / "config.json").write_text("{}"), "it has no config.json with a model_type"),
        (lambda place: (place / "preprocessor_config.json").unlink(), "it has no preprocessor_config.json"),
        (
            lambda place: segformer(decoder_hidden_size=24).config.save_pretrained(place),
            "weights do not fit its config",
        ),
        (lambda place: (place / "config.json").write_text('{"model_type": "bert"}'), "of bert does not segment images"),
    ],
)
def test_a_broken_folder_gives_one_line(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    spoil(tmp_path)
    with pytest.raises(WeightsError, match=message) as refused:
        ade20k.load(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_network_that_was_not_trained_to_segment_is_refused(tmp_path: Path) -> None:
    segformer().segformer.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "SegformerImageProcessor"}')
    with pytest.raises(WeightsError, match=r"has no weights for decode_head.*not trained to segment"):
        ade20k.load(str(tmp_path))


def test_old_weights_of_pytorch_load_as_tensors_alone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    network = ade20k.load(str(tmp_path)).network
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    assert ade20k.load(str(tmp_path)).identity == ade20k.load(str(folder)).identity
    torch.save({"weights": Path}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        ade20k.load(str(tmp_path))


def test_half_precision_weights_are_computed_with_in_single_precision(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    ade20k.load(str(tmp_path)).network.half().save_pretrained(tmp_path)
    assert {value.dtype for value in ade20k.load(str(tmp_path)).network.parameters()} == {torch.float32}


@pytest.mark.parametrize("missing", ["transformers", "scipy"])
def test_without_the_extra_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None if name == missing else True)
    for load in (lambda: ade20k.load(str(folder)), lambda: words.load(f"{folder}:tree")):
        with pytest.raises(SegmenterError, match=f"needs {missing}.*pip install transformers scipy"):
            load()


@pytest.mark.extended
def test_nothing_is_said_while_the_first_checkpoint_of_a_process_loads(folder: Path) -> None:
    code = f"from dissectreport import plugins; plugins.segmenter('ade20k:{folder}')"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (said.stdout, said.stderr) == (b"", b"")


def test_what_transformers_says_elsewhere_is_left_as_it_was() -> None:
    logger = logging.getLogger("transformers")
    before = logger.level, transformers.utils.logging.is_progress_bar_enabled()
    with quiet():
        assert logger.level == logging.ERROR
        assert not transformers.utils.logging.is_progress_bar_enabled()
    assert (logger.level, transformers.utils.logging.is_progress_bar_enabled()) == before


def test_transformers_is_not_imported_before_a_checkpoint_is_asked_for() -> None:
    code = (
        "import sys; from dissectreport import plugins; import dissectreport.segmenters.ade20k, "
        "dissectreport.segmenters.words; plugins.names(plugins.SEGMENTERS); plugins.segmenter('scenes'); "
        "sys.exit('transformers' in sys.modules or 'huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- images ----------------------------------------------------------------------------------------------------


def processor(tmp_path: Path, settings: dict[str, Any]) -> Any:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    return transformers.AutoImageProcessor.from_pretrained(tmp_path, class_info_file=None)


@pytest.mark.parametrize("size", [(48, 48), (96, 96), (64, 64), (48, 80), (130, 90)])
@pytest.mark.parametrize("kind", [kind for kind in BUILT if kind != "mobilevit"])
def test_images_are_prepared_as_the_processor_prepares_them(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    made = processor(tmp_path, {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]} | BUILT[kind][1])
    told = {"task_inputs": ["semantic"] * 2} if kind == "oneformer" else {}
    images = pictures(2, *size)
    files = list(((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    theirs = made(images=files, return_tensors="pt", **told)["pixel_values"]
    ours = Preprocessor(made, {name: value[:1] for name, value in told.items()})(images)
    assert ours.shape == theirs.shape
    # Pillow rounds to whole bytes after rows and again after columns: within one and a half of them.
    assert float((ours - theirs).abs().max()) <= 1.5 / 255 / 0.2 + 1e-5


def test_all_of_an_image_is_seen_where_the_processor_would_cut_off_its_border(tmp_path: Path) -> None:
    prepared = Preprocessor(processor(tmp_path, BUILT["mobilevit"][1]))
    images = torch.full((1, 3, 72, 72), -1.0)
    images[:, 0, :, :2] = 1.0
    seen = prepared(images)
    assert seen.shape == (1, 3, 64, 64)
    assert float(seen[0, 2, :, 0].min()) > 0.9, "the red border is seen, red being the last channel for this network"
    assert float(seen[0, :2].max()) == 0.0


def test_preparing_has_gradients_and_cuts_off_what_no_file_could_hold(tmp_path: Path) -> None:
    prepared = Preprocessor(processor(tmp_path, BUILT["segformer"][1]))
    images = pictures().requires_grad_()
    (gradient,) = torch.autograd.grad(prepared(images).sum(), images)
    assert float(gradient.abs().min()) > 0
    assert torch.equal(prepared(images.detach() * 100), prepared((images.detach() * 100).clamp(-1, 1)))


@pytest.mark.parametrize(
    ("given", "found"),
    [((128, 128), (128, 128)), ((1024, 512), (256, 128)), ((300, 300), (256, 256)), ((1, 999), (1, 256))],
)
def test_labels_are_as_large_as_the_image_up_to_a_longest_side(given: tuple[int, int], found: tuple[int, int]) -> None:
    assert size_within(256, given) == found
