"""Checkpoints as programs really leave them: wrapped, in parts, in folders, as programs, with norms, and damaged."""

from __future__ import annotations

import json
import pickle
import sys
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dissectreport import plugins
from dissectreport.checkpoints.model_files import open_model_file, weights_in
from dissectreport.checkpoints.norms import plain_weights
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import DissectReportError, WeightsError
from dissectreport.models.families import stylegan2
from dissectreport.models.families.autoencoder_kl import modern
from dissectreport.models.families.base import NetworkTensors, Sampling
from dissectreport.models.families.loading import load
from dissectreport.networks.latents import latents

FOLDER = Path(__file__).parent / "fixtures" / "families"
KL = Path(__file__).parent / "fixtures" / "autoencoders" / "kl"
ADA = "stylegan2ada_32.pkl"
DEEP = "biggan_deep_hf"


def tensors_in(file: str, part: str = "G_ema") -> dict[str, Tensor]:
    """The tensors of a network in a fixture."""
    content = open_model_file(FOLDER / file).content
    return dict(content[part].tensors if part in content else content)


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def saved(folder: Path, content: object, name: str = "weights.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def images(path: Path, count: int = 2) -> Tensor:
    generator = load(path)
    with torch.no_grad():
        made: Tensor = generator(latents(1, 0, count, generator.latent_shape))
    return made


def same_images(path: Path, file: str, tolerance: float = 2e-6) -> bool:
    """Whether a file draws what a fixture draws."""
    theirs = images(FOLDER / file)
    return bool((images(path) - theirs).abs().max() <= tolerance * theirs.abs().max())


# --- wrappers -----------------------------------------------------------------------------------------------------


WRAPPED: Mapping[str, Callable[[dict[str, Tensor], dict[str, Tensor]], object]] = {
    "counter of AveragedModel": lambda t, g: {"n_averaged": torch.tensor(3), **prefixed(t, "module.")},
    "step": lambda t, g: {**t, "step": torch.tensor(5)},
    "names lost": lambda t, g: {
        "G": g,
        "ema": {"decay": 0.9, "shadow_params": [value for name, value in t.items() if not is_buffer(name)]},
    },
    "callback": lambda t, g: {"state_dict": prefixed(g, "G."), "callbacks": {"EMA": {"state_dict": prefixed(t, "G.")}}},
    "parts of a network": lambda t, g: {
        part: {name.removeprefix(f"{part}."): value for name, value in t.items() if name.startswith(part)}
        for part in ("mapping", "synthesis")
    },
    "params_ema": lambda t, g: {"params": g, "params_ema": t},
    "two wrappers": lambda t, g: {"model": prefixed(t, "module._orig_mod.")},
    "double": lambda t, g: {name: value.double() for name, value in t.items()},
    "strided": lambda t, g: {name: value.T.contiguous().T if value.ndim == 2 else value for name, value in t.items()},
}


def is_buffer(name: str) -> bool:
    return name.endswith(("noise_const", "resample_filter", "w_avg"))


@pytest.mark.parametrize("wrap", WRAPPED)
def test_the_average_is_found_however_it_is_wrapped(wrap: str, tmp_path: Path) -> None:
    average, latest = tensors_in(ADA), tensors_in(ADA, "G")
    if wrap == "names lost":
        # An average has no buffers: those of the network are taken, which are the same in both.
        latest |= {name: value for name, value in average.items() if is_buffer(name)}
    assert same_images(saved(tmp_path, WRAPPED[wrap](average, latest)), ADA)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {**t, "mapping.w_avg": t["mapping.w_avg"] * float("nan")}, r"w_avg has values that are not finite"),
        (
            lambda t: {**t, "mapping.fc0.weight": t["mapping.fc0.weight"].to(torch.int8)},
            "has whole numbers .torch.int8",
        ),
        (lambda t: {**t, "mapping.fc0.weight": t["mapping.fc0.weight"].to_sparse()}, "fc0.weight is quantized, sparse"),
        (lambda t: {**t, "mapping.fc0.weight": torch.empty(16, 16, device="meta")}, "or without storage; save it as"),
        (lambda t: {**t, "mapping.fc0.weight": t["mapping.fc0.weight"] * 1j}, "quantized, sparse, complex"),
        (lambda t: {**t, "mapping.embed.weight": torch.zeros(16, 0)}, r"has shape \(16, 0\), so it is empty"),
    ],
)
def test_tensors_that_no_network_computes_with_are_one_clear_line(
    change: Callable[[dict[str, Tensor]], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words) as raised:
        load(saved(tmp_path, change(tensors_in(ADA))))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a\nb", "synthesis.b4.\x1b[31m", "x" * 5000])
def test_a_name_that_cannot_be_printed_does_not_break_a_line(name: str, tmp_path: Path) -> None:
    tensors = tensors_in(ADA)
    for content in (
        {**tensors, f"synthesis.{name}": torch.zeros(2)},
        {name: tensors, "other": 1},
        {name: torch.zeros(9)},
    ):
        try:
            line = str(load(saved(tmp_path, content)).facts["recognised"])
        except WeightsError as problem:
            line = str(problem)
        assert line.isprintable()
        assert len(line) < 1500


def test_patterns_of_noise_are_drawn_where_a_file_has_strengths_alone(tmp_path: Path) -> None:
    tensors = {name: value for name, value in tensors_in(ADA).items() if "noise_const" not in name}
    generator = load(saved(tmp_path, tensors))
    assert "drawn here as the file has none" in str(generator.facts["sampling"])
    assert torch.equal(images(saved(tmp_path, tensors)), images(saved(tmp_path, tensors, "again.pt")))
    quiet = load(saved(tmp_path, tensors), Sampling(noise="none"))
    z = latents(1, 0, 2, (16,))
    with torch.no_grad():
        assert torch.equal(quiet(z), load(FOLDER / ADA, Sampling(noise="none"))(z))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: {name: value for name, value in t.items() if "_filter" not in name},
            "up_filter is missing; the layer",
        ),
        (lambda t: {n: v[:-2] if n.endswith("up_filter") else v for n, v in t.items()}, "up_filter has shape"),
        (lambda t: {n: v[:-2] if n.endswith("down_filter") else v for n, v in t.items()}, "down_filter has shape"),
    ],
)
def test_filters_of_stylegan3_must_have_the_length_that_a_layer_needs(
    change: Callable[[dict[str, Tensor]], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words):
        load(saved(tmp_path, change(tensors_in("stylegan3t_32.pkl"))))


# --- pickles --------------------------------------------------------------------------------------------------------


class Call:
    """What a pickle calls when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        """The call."""
        return self.function, self.arguments


@pytest.fixture
def nvidia(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Call]:
    """Makes networks as NVIDIA's programs pickle them, of tensors by name."""
    for name in ("torch_utils", "torch_utils.persistence"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    rebuild = types.FunctionType((lambda meta: meta).__code__, globals(), "_reconstruct_persistent_obj")
    rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    monkeypatch.setattr(sys.modules["torch_utils.persistence"], "_reconstruct_persistent_obj", rebuild, raising=False)

    def network(tensors: Mapping[str, Tensor], kind: str = "Generator", settings: Any = None) -> Call:
        parameters = {name: nn.Parameter(value) for name, value in tensors.items() if "." not in name}
        inner: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            head, _, rest = name.partition(".")
            if rest:
                inner.setdefault(head, {})[rest] = value
        modules = {
            name: network(part, "Inner", settings if kind == "Wrapper" else None) for name, part in inner.items()
        }
        state = {"_parameters": parameters, "_buffers": {}, "_modules": modules}
        state |= {"_init_kwargs": {"decay": 0.9} if kind == "Wrapper" else settings or {}}
        return Call(rebuild, {"type": "class", "module_src": "", "class_name": kind, "state": state})

    return network


PICKLED: Mapping[str, Callable[[Callable[..., Call], dict[str, Tensor], dict[str, Tensor]], object]] = {
    "only G": lambda made, t, g: {"G": made(t), "D": None},
    "nested": lambda made, t, g: {"snapshot": {"G": made(g), "G_ema": made(t)}, "cur_nimg": 3},
    "list": lambda made, t, g: [made(t), made({"b4.out.weight": torch.zeros(1, 4)}, "Discriminator")],
    "wrapped": lambda made, t, g: {"G_ema": made(prefixed(t, "model."), "Wrapper")},
    "tables of tensors": lambda made, t, g: {"G": g, "G_ema": t},
    "tables of arrays": lambda made, t, g: {name: value.numpy() for name, value in t.items()},
    "arrays in order of columns": lambda made, t, g: {name: np.asfortranarray(v.numpy()) for name, v in t.items()},
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", PICKLED)
def test_pickles_are_read_however_networks_lie_in_them(
    kind: str, protocol: int, nvidia: Callable[..., Call], tmp_path: Path
) -> None:
    content = PICKLED[kind](nvidia, tensors_in(ADA), tensors_in(ADA, "G"))
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(content, protocol))
    assert same_images(tmp_path / "n.pkl", ADA)


def test_settings_of_a_wrapped_network_are_its_own(nvidia: Callable[..., Call], tmp_path: Path) -> None:
    content = {"G_ema": nvidia(prefixed(tensors_in(ADA), "model."), "Wrapper", {"img_resolution": 64})}
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match="its settings say img_resolution = 64, but its tensors 32"):
        load(tmp_path / "n.pkl")


def test_a_network_within_a_larger_one_is_not_taken_for_the_whole(nvidia: Callable[..., Call], tmp_path: Path) -> None:
    tensors = {**prefixed(tensors_in(ADA), "backbone."), "decoder.weight": torch.zeros(3, 3)}
    (tmp_path / "n.pkl").write_bytes(pickle.dumps({"G_ema": nvidia(tensors, "TriPlane")}))
    with pytest.raises(WeightsError, match=r"TriPlane has decoder\.weight besides"):
        load(tmp_path / "n.pkl")


@pytest.mark.parametrize("clamp", ["256", -1, float("inf"), True])
def test_a_clamp_must_be_a_number(clamp: object, nvidia: Callable[..., Call], tmp_path: Path) -> None:
    content = {"G_ema": nvidia(tensors_in(ADA), settings={"synthesis_kwargs": {"conv_clamp": clamp}})}
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=r"its settings say clamp = .* a positive number"):
        load(tmp_path / "n.pkl")


def test_numbers_that_are_repeated_without_end_are_refused(tmp_path: Path) -> None:
    one = np.zeros(2000, np.float32)

    class Same:
        """An array whose bytes are those of all others."""

        def __reduce__(self) -> Any:
            return (
                one.__reduce__()[0],
                (np.ndarray, (0,), b"b"),
                (1, (2000,), one.dtype, False, content_bytes),
            )

    content_bytes = one.tobytes()
    (tmp_path / "n.pkl").write_bytes(pickle.dumps({str(number): Same() for number in range(100)}))
    with pytest.raises(WeightsError, match="far more numbers than the file has bytes"):
        load(tmp_path / "n.pkl")
    torch.save({"synthesis.b4.const": torch.zeros(1).expand(1 << 40)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="these tensors would take 4,398 GB"):
        load(tmp_path / "w.pt")


# --- parts and folders ----------------------------------------------------------------------------------------------


def in_parts(folder: Path, tensors: Mapping[str, Tensor], stem: str, end: str = "safetensors") -> list[Path]:
    """Two files of weights, and their index."""
    folder.mkdir(exist_ok=True)
    names, paths = list(tensors), [folder / f"{stem}-0000{number}-of-00002.{end}" for number in (1, 2)]
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    for path, half in zip(paths, halves, strict=True):
        own = {name: tensors[name].contiguous() for name in half}
        save_file(own, path) if end == "safetensors" else torch.save(own, path)
    files = {name: path.name for path, half in zip(paths, halves, strict=True) for name in half}
    index = folder / f"{stem}.{end}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return [index, *paths]


@pytest.mark.parametrize("end", ["safetensors", "bin"])
@pytest.mark.parametrize("given", ["folder", "index", "part"])
def test_weights_in_several_files_are_one_network(given: str, end: str, tmp_path: Path) -> None:
    index, _, second = in_parts(tmp_path, tensors_in(ADA), "model", end)
    path = {"folder": tmp_path, "index": index, "part": second}[given]
    assert same_images(path, ADA)
    assert plugins.generator(str(path)).identity == load(path).identity


def test_parts_that_are_missing_are_named(tmp_path: Path) -> None:
    index, first, second = in_parts(tmp_path, tensors_in(ADA), "model")
    second.unlink()
    for path in (tmp_path, index, first):
        with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors"):
            load(path)


@pytest.mark.parametrize("content", ["[]", '{"weight_map": {}}', '{"weight_map": {"a": "../x.bin"}}', "{"])
def test_an_index_that_names_no_files_is_one_clear_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(WeightsError, match=r"is no index of weights|cannot be read") as raised:
        load(tmp_path / "model.safetensors.index.json")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("model.fp16.safetensors", "model.safetensors"), "model.safetensors"),
        (("model.fp16.safetensors",), "model.fp16.safetensors"),
        (("pytorch_model.bin", "model.safetensors"), "model.safetensors"),
        (("model-00001-of-00002.safetensors", "pytorch_model.bin"), "pytorch_model.bin"),
        (("big-pytorch_model.bin",), "big-pytorch_model.bin"),
        (("optimizer.bin", "model.safetensors", "random_states_0.pkl"), "model.safetensors"),
        (("net.pth", "readme.md"), "net.pth"),
        (("vae/model.safetensors", "unet/model.safetensors"), "vae/model.safetensors"),
        (("a.pth", "b.pth"), r"has several files of weights \(a.pth, b.pth\)"),
        (("readme.md",), "has no file of weights"),
    ],
)
def test_the_file_of_weights_in_a_folder(names: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if "has " in expected:
        with pytest.raises(WeightsError, match=expected):
            weights_in(tmp_path)
    else:
        assert weights_in(tmp_path) == tmp_path / expected


def test_a_folder_has_its_config_whatever_its_weights_are_called(tmp_path: Path) -> None:
    tensors = tensors_in(DEEP, "")
    config = (FOLDER / DEEP / "config.json").read_text()
    (tmp_path / "big-config.json").write_text(config)
    torch.save(tensors, tmp_path / "big-pytorch_model.bin")
    assert same_images(tmp_path, DEEP)
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text(config)
    save_file({name: value.half() for name, value in tensors.items()}, half / "model.fp16.safetensors")
    assert same_images(half, DEEP, tolerance=0.02)


# --- programs -------------------------------------------------------------------------------------------------------


class Painter(nn.Module):
    """A DCGAN with what programs keep beside weights."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *(nn.ConvTranspose2d(8, 16, 4), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh()),
        )
        self.sizes, self.scale, self.kinds = [1, 2], 0.5, {"a": 1}

    def forward(self, z: Tensor) -> Tensor:
        """(n, 8, 1, 1) -> (n, 3, 16, 16)."""
        return self.main(z) * 1.0


def painter() -> Painter:
    torch.manual_seed(0)
    made = Painter()
    made(torch.randn(8, 8, 1, 1))  # statistics that are not those of a new network
    return made.eval()


PROGRAMS: Mapping[str, Callable[[nn.Module, Path], object]] = {
    "script": lambda made, path: torch.jit.script(made).save(str(path)),
    "trace": lambda made, path: torch.jit.trace(made, torch.zeros(2, 8, 1, 1)).save(str(path)),
    "half script": lambda made, path: torch.jit.script(made.half()).save(str(path)),
    "export": lambda made, path: torch.export.save(torch.export.export(made, (torch.zeros(2, 8, 1, 1),)), str(path)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_weights_of_a_program_are_read_without_running_it(kind: str, tmp_path: Path) -> None:
    made = painter()
    path = tmp_path / "program.pt2"
    PROGRAMS[kind](made, path)
    tensors = read_checkpoint(path).content
    expected = made.state_dict()
    assert all(torch.equal(tensors[name], value) for name, value in expected.items())
    generator = load(path)
    z = latents(1, 0, 2, generator.latent_shape)
    with torch.no_grad():
        assert torch.allclose(generator(z), made.float()(z[:, :, None, None]), atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_were_frozen_into_code_are_said_to_be(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(painter())).save(str(tmp_path / "frozen.pt"))
    with pytest.raises(WeightsError, match=r"weights are a part of its code, as after torch\.jit\.freeze"):
        load(tmp_path / "frozen.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["data.pkl", "model_weights_config.json"])
def test_programs_that_ask_for_more_are_refused(where: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a.pt", tmp_path / "b.pt"
    PROGRAMS["script" if where == "data.pkl" else "export"](painter(), source)
    hostile = {
        "data.pkl": pickle.dumps({"a": Call(sorted, "run")}),
        "model_weights_config.json": json.dumps(
            {"config": {"a": {"path_name": "weight_0", "use_pickle": True, "tensor_meta": {"dtype": 7}}}}
        ).encode(),
    }[where]
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, hostile if name.endswith(where) else old.read(name))
    with pytest.raises(WeightsError, match=r"with (builtins|__builtin__)\.sorted|is no plain tensor"):
        load(target)


# --- norms ----------------------------------------------------------------------------------------------------------


def spectral(part: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(part)


def weight(part: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(part)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "norm", [nn.utils.spectral_norm, spectral, nn.utils.weight_norm, weight], ids=["old S", "new S", "old W", "new W"]
)
@pytest.mark.parametrize("square", [False, True])
def test_norms_are_taken_out_of_weights(norm: Callable[[nn.Module], nn.Module], square: bool) -> None:
    torch.manual_seed(0)
    width = 5 if square else 7
    network = nn.Sequential(
        norm(nn.Conv2d(5, width, 3)), norm(nn.ConvTranspose2d(width, 5, 3)), nn.Flatten(), norm(nn.Linear(80, 6))
    )
    for _ in range(20):
        network(torch.randn(4, 5, 4, 4))
    network.eval()
    network(torch.randn(4, 5, 4, 4))
    plain = nn.Sequential(nn.Conv2d(5, width, 3), nn.ConvTranspose2d(width, 5, 3), nn.Flatten(), nn.Linear(80, 6))
    plain.load_state_dict(plain_weights({f"module.{n}": v for n, v in network.state_dict().items()}))
    x = torch.randn(2, 5, 4, 4)
    assert torch.allclose(plain(x), network(x), atol=1e-6)


def new_form(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spectral norm by the names of torch.nn.utils.parametrizations."""
    ends = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
    return {
        f"{name.rpartition('.')[0]}.parametrizations.weight.{ends[name.rpartition('.')[2]]}"
        if name.rpartition(".")[2] in ends
        else name: value
        for name, value in tensors.items()
    }


@pytest.mark.parametrize("change", [new_form, plain_weights, lambda tensors: prefixed(tensors, "module.")])
def test_a_biggan_deep_is_the_same_with_each_form_of_spectral_norm(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text((FOLDER / DEEP / "config.json").read_text())
    torch.save(change(tensors_in(DEEP, "")), tmp_path / "pytorch_model.bin")
    assert same_images(tmp_path, DEEP)


def test_spectral_norm_without_its_vectors_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((FOLDER / DEEP / "config.json").read_text())
    tensors = {name: value for name, value in tensors_in(DEEP, "").items() if "conv_to_rgb.weight_u" not in name}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        WeightsError, match=r"weight_orig has no fitting .*weight_u and .*weight_v, so its spectral norm"
    ):
        load(tmp_path)


BIGGAN = "biggan_ajbrock_G_ema.pth"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: without_names(t, "blocks.1.0.conv1.u0"),
            r"blocks\.1\.0\.conv1\.u0 is missing, so the spectral norm of",
        ),
        (lambda t: without_names(t, *(n for n in t if "conv" in n and n.endswith("u0"))), "conv1.u0 is missing"),
        (lambda t: {**t, "linear.u0": torch.zeros_like(t["linear.u0"])}, r"linear\.u0 gives a spectral norm of 0"),
        (lambda t: {**t, "linear.u0": t["linear.u0"][:, 1:]}, r"linear\.u0 has shape .*; it should have \(1, "),
    ],
)
def test_vectors_of_a_biggan_are_all_there_or_none(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words):
        load(saved(tmp_path, change(tensors_in(BIGGAN, ""))))


def without_names(tensors: Mapping[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if name not in names}


def test_a_network_of_no_family_may_lack_vectors_of_spectral_norm(tmp_path: Path) -> None:
    tensors = {f"feat.{number}.{end}": torch.ones(4, 4) for number in range(4) for end in ("weight_orig", "weight_u")}
    with pytest.raises(WeightsError, match=r"feat\.0\.weight_orig has no fitting .*weight_v, so its spectral norm"):
        load(saved(tmp_path, tensors))


@pytest.mark.parametrize("kind", [">f4", ">f8", ">f2"])
def test_arrays_may_have_the_other_order_of_bytes(kind: str, tmp_path: Path) -> None:
    arrays = {name: value.numpy().astype(kind) for name, value in tensors_in(ADA).items()}
    np.savez(tmp_path / "weights.npz", **arrays)
    assert same_images(tmp_path / "weights.npz", ADA, tolerance=0.02 if kind == ">f2" else 2e-6)


def test_tensors_that_claim_to_be_huge_are_refused_with_their_file(tmp_path: Path) -> None:
    path = saved(tmp_path, {**tensors_in(ADA), "synthesis.b4.conv1.weight": torch.zeros(1).expand(1 << 20, 1 << 20)})
    with pytest.raises(WeightsError, match=rf"{path.name}: these tensors would take 4,398 GB"):
        load(path)


# --- other names ----------------------------------------------------------------------------------------------------


def test_a_biggan_without_a_shared_embedding_has_tables_of_gains(tmp_path: Path) -> None:
    shared = tensors_in("biggan_ajbrock_G_ema.pth", "")
    embedding, tables = shared.pop("shared.weight"), {}
    for name, value in shared.items():
        norm = name.rpartition(".")[0]
        if ".bn" in name and name.endswith((".gain.weight", ".bias.weight")):
            u, rows = shared[f"{norm}.u0"], value
            v = nn.functional.normalize(u @ rows, eps=1e-6)
            u = nn.functional.normalize(v @ rows.T, eps=1e-6)
            tables[name] = embedding @ (rows / (v @ rows.T @ u.T).squeeze()).T
        elif not (".bn" in name and name.endswith(("gain.u0", "gain.sv0", "bias.u0", "bias.sv0"))):
            tables[name] = value
    assert same_images(saved(tmp_path, tables), "biggan_ajbrock_G_ema.pth", tolerance=1e-5)


@pytest.mark.parametrize("prefix", ["", "layers.", "net.gen."])
def test_a_dcgan_may_have_another_name_for_its_sequence(prefix: str, tmp_path: Path) -> None:
    state = painter().state_dict()
    renamed = {prefix + name.removeprefix("main."): value for name, value in state.items()}
    ours, theirs = saved(tmp_path, renamed), saved(tmp_path, state, "usual.pt")
    assert torch.equal(images(ours), images(theirs))


ORIGINAL = (
    ("encoder.down_blocks.", "encoder.down."),
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
    ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
    ("mid_block.attentions.0.to_", "mid.attn_1."),
    ("downsamplers.0.", "downsample."),
    ("upsamplers.0.", "upsample."),
    ("resnets.", "block."),
    ("conv_shortcut", "nin_shortcut"),
    ("conv_norm_out", "norm_out"),
)


def original_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An autoencoder by the names of the original program."""
    renamed = {}
    last = max(int(name.split(".")[2]) for name in tensors if name.startswith("decoder.up_blocks."))
    for name, value in tensors.items():
        new = name
        if name.startswith("decoder.up_blocks."):
            _, _, number, rest = name.split(".", 3)
            new = f"decoder.up.{last - int(number)}.{rest}"
        for ours, theirs in ORIGINAL:
            new = new.replace(ours, theirs)
        renamed[new] = value[:, :, None, None] if ".attn_1." in new and value.ndim == 2 else value
    return renamed


def test_an_autoencoder_of_the_original_program_is_the_one_of_diffusers(tmp_path: Path) -> None:
    tensors = load_file(KL / "diffusion_pytorch_model.safetensors")
    theirs = original_names(tensors)
    assert "decoder.mid.block_1.conv1.weight" in theirs
    ours = modern(theirs)
    assert ours.keys() == modern(tensors).keys()
    assert all(torch.equal(ours[name], value) for name, value in modern(tensors).items())
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "config.json").write_text((KL / "config.json").read_text())
    beside = {"loss.logvar": torch.zeros(2), "model_ema.decay": torch.zeros(2)}
    torch.save({"state_dict": {**theirs, **beside}}, folder / "pytorch_model.bin")
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    from PIL import Image

    for number in range(2):
        Image.effect_noise((32, 32), 60).convert("RGB").save(photographs / f"{number}.png")
    settings = f":images={str(photographs).replace('/', '%2F')}"
    one, other = (plugins.generator(f"{path}{settings}") for path in (tmp_path, KL))
    z = one.latents(1, 0, 2)  # type: ignore[attr-defined]
    with torch.no_grad():
        assert torch.equal(one(z), other(z))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {
                "blocks.0.0.conv1.weight": torch.zeros(4, 3, 3, 3),
                "blocks.0.0.conv2.weight": torch.zeros(4, 4, 3, 3),
                "linear.weight": torch.zeros(1, 4),
                "linear.bias": torch.zeros(1),
                "embed.weight": torch.zeros(5, 4),
            },
            "is a discriminator of BigGAN, not a generator",
        ),
        (
            {
                "a.weight": torch.zeros(8, 3, 4, 4),
                "b.weight": torch.zeros(8, 8, 4, 4),
                "c.weight": torch.zeros(1, 8, 4, 4),
            },
            "they seem to be of a network that reads images, such as a discriminator",
        ),
    ],
)
def test_networks_that_read_images_are_said_to(tensors: dict[str, Tensor], words: str, tmp_path: Path) -> None:
    with pytest.raises(DissectReportError, match=words):
        load(saved(tmp_path, tensors))


@pytest.mark.parametrize("channels", [(16, 16, 8, 4), (16, 16, 16, 16, 8, 8, 4), (8, 8), (8,)])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("classes", [0, 3])
def test_stylegan2_of_any_size_is_recognised_by_its_shapes(
    channels: tuple[int, ...], architecture: str, classes: int, tmp_path: Path
) -> None:
    structure = stylegan2.StyleGAN2Structure(
        latent=6, classes=classes, w=8, mapping_layers=3, channels=channels, architecture=architecture
    )
    if len(channels) == 1 and architecture != "skip":
        return
    network = stylegan2.StyleGAN2(structure, Sampling())
    network.initialise(1)
    tensors = {network.file_name(name): value for name, value in network.state_dict().items()}
    found = stylegan2.structure_of(NetworkTensors(tensors))
    assert found == structure
    made = load(saved(tmp_path, tensors))
    assert made.image_size == (4 * 2 ** (len(channels) - 1),) * 2
