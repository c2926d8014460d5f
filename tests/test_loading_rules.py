"""Weights into networks: torch's own rules, names that wrappers change, and what would fit where they do not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from dissectreport.checkpoints.names import common_name, quoted, renamings
from dissectreport.checkpoints.parts import Place, at, state_dicts
from dissectreport.checkpoints.state_dicts import load_exactly, load_from, select_tensors
from dissectreport.checkpoints.weight_files import read_checkpoint
from dissectreport.errors import WeightsError


class Net(nn.Module):
    """A small generator; `norm` is put around its middle."""

    def __init__(self, norm: Any = lambda part: part, channels: int = 3) -> None:
        super().__init__()
        middle = norm(nn.ConvTranspose2d(4, 5, 4, 2, 1))
        self.main = nn.Sequential(nn.ConvTranspose2d(2, 4, 4), nn.ReLU(), middle, nn.Conv2d(5, channels, 3))

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)  # type: ignore[no-any-return]


class Critic(nn.Module):
    """Has the names of the generator, and other shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(3, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 4), nn.Conv2d(5, 1, 3))


Z = torch.ones(2, 2, 1, 1)


def trained(network: nn.Module | None = None, seed: int = 7) -> nn.Module:
    """A network with random weights of its own, in evaluation mode."""
    network = Net() if network is None else network
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for value in network.parameters():
            value.normal_()
        network(Z)  # A spectral norm learns its vectors as it runs.
    return network.eval()


def images(network: nn.Module) -> Tensor:
    with torch.no_grad():
        return network.eval()(Z)  # type: ignore[no-any-return]


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


# --- torch's own rules come first ---


OLD_WEIGHT_NORM, NEW_WEIGHT_NORM = nn.utils.weight_norm, parametrizations.weight_norm  # type: ignore[attr-defined]
OLD_SPECTRAL_NORM, NEW_SPECTRAL_NORM = nn.utils.spectral_norm, parametrizations.spectral_norm


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("saved", "loaded"),
    [
        (OLD_WEIGHT_NORM, NEW_WEIGHT_NORM),
        (NEW_WEIGHT_NORM, OLD_WEIGHT_NORM),
        (OLD_SPECTRAL_NORM, NEW_SPECTRAL_NORM),
        (NEW_SPECTRAL_NORM, OLD_SPECTRAL_NORM),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weight_norm_and_spectral_norm_are_read_in_the_old_and_the_new_form(
    saved: Any, loaded: Any, prefix: str
) -> None:
    source, network = trained(Net(saved)), Net(loaded)
    load_exactly(network, select_tensors(prefixed(prefix, source)), "a net")
    assert torch.allclose(images(network), images(source), atol=1e-5)


class Renamed(Net):
    """Renames old weights as it loads them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(self._rename)

    @staticmethod
    def _rename(module: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        for key in [key for key in state if key.startswith(f"{prefix}body.")]:
            state[key.replace("body.", "main.", 1)] = state.pop(key)


class WithState(Net):
    """Keeps numbers beside its weights."""

    resolution = 0

    def get_extra_state(self) -> object:
        return {"resolution": 16}

    def set_extra_state(self, state: Any) -> None:
        self.resolution = state["resolution"]


class WithGain(Net):
    """Has a weight that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))


def test_a_networks_own_hook_may_rename_its_weights() -> None:
    source, network = trained(), Renamed()
    load_exactly(network, {k.replace("main", "body"): v for k, v in source.state_dict().items()}, "a net")
    assert torch.equal(images(network), images(source))


def test_what_a_network_keeps_beside_its_weights_is_given_back(tmp_path: Path) -> None:
    torch.save({"g": WithState().state_dict()}, tmp_path / "w.pt")
    network = WithState()
    load_from(network, read_checkpoint(tmp_path / "w.pt").content, Place("g", ""), "a net")
    assert network.resolution == 16
    with pytest.raises(WeightsError, match="_extra_state is missing"):
        load_exactly(WithState(), Net().state_dict(), "a net")


def test_a_number_may_be_saved_as_a_list_of_one_and_of_no_more() -> None:
    network, weights = WithGain(), WithGain().state_dict()
    load_exactly(network, {**weights, "gain": torch.tensor([3.0])}, "a net")
    assert network.gain.shape == () and network.gain == 3
    with pytest.raises(WeightsError, match=r"gain has shape \(2,\) instead of \(\)"):
        load_exactly(network, {**weights, "gain": torch.ones(2)}, "a net")


class Tied(nn.Module):
    """Has one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        self.second.weight = self.first.weight


def test_a_weight_with_two_names_may_be_saved_under_one(tmp_path: Path) -> None:
    source, network = Tied(), Tied()
    save_model(source, str(tmp_path / "w.safetensors"))
    content = read_checkpoint(tmp_path / "w.safetensors").content
    assert len(content) == 3
    load_from(network, content, Place("", ""), "a net")
    assert torch.equal(network.second.weight, source.first.weight)
    with pytest.raises(WeightsError, match=r"first.weight is missing"):
        load_exactly(Tied(), {k: v for k, v in source.state_dict().items() if not k.endswith("weight")}, "a net")


class Versioned(Net):
    """Changes weights that have no version."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        if metadata.get("version") is None:
            state[f"{prefix}main.0.bias"] = state[f"{prefix}main.0.bias"] + 1
        super()._load_from_state_dict(state, prefix, metadata, *rest)


@pytest.mark.parametrize("wrapper", ["", "module.", "generator."])
def test_the_versions_of_modules_are_kept_whatever_their_names_begin_with(tmp_path: Path, wrapper: str) -> None:
    source = trained(Versioned())
    whole = nn.ModuleDict({wrapper[:-1]: source}) if wrapper else source
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    network, prefix = Versioned(), "" if wrapper == "module." else wrapper
    load_from(network, read_checkpoint(tmp_path / "w.pt").content, Place("", prefix), "a net")
    assert torch.equal(images(network), images(source))
    load_exactly(network, dict(source.state_dict()), "a net")
    assert not torch.equal(images(network), images(source)), "without versions the network changes them"


class Normed(nn.Module):
    """Has an InstanceNorm, which before torch 0.4 kept running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.BatchNorm2d(4))


def test_statistics_of_an_old_instance_norm_can_be_left_out() -> None:
    statistics, norm = nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4)
    nn.init.normal_(norm.running_mean)
    weights = dict(nn.ModuleDict({"main": nn.Sequential(nn.Conv2d(3, 4, 1), statistics, norm)}).state_dict())
    with pytest.raises(
        WeightsError, match=r"main.1.running_mean is unknown .and 1 more.*ignore = \['\*.running_mean"
    ) as raised:
        load_from(Normed(), weights, Place("", ""), "a net")
    assert "track_running_stats=True" in str(raised.value)
    network = Normed()
    load_from(network, weights, Place("", ""), "a net", ["*.running_mean", "*.running_var"])
    assert torch.equal(network.main[2].running_mean, weights["main.2.running_mean"]), "what the network has is loaded"


# --- names that wrappers change ---


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("main.", "main._orig_mod."),
        ("main.", "_orig_mod.main."),
        ("main.", "module._orig_mod.main."),
        ("main.", "_forward_module.main."),
        ("main.0.", "main._checkpoint_wrapped_module.0."),
    ],
)
def test_the_steps_of_wrappers_are_looked_through_wherever_they_are(before: str, after: str) -> None:
    source, network = trained(), Net()
    changed = {name.replace(before, after): value for name, value in source.state_dict().items()}
    load_exactly(network, changed, "a net")
    assert torch.equal(images(network), images(source))
    load_exactly(nn.DataParallel(network), changed, "a net")


def test_a_moving_average_of_torch_is_a_network_with_a_counter() -> None:
    source, network = trained(), Net()
    average = torch.optim.swa_utils.AveragedModel(source)
    load_exactly(network, average.state_dict(), "a net")
    assert torch.equal(images(network), images(source))


def test_names_that_could_mean_two_tensors_are_left_as_they_are() -> None:
    assert renamings(["module.a", "b"], ["a", "b"]) == {"module.a": "a"}
    assert renamings(["module.a", "a"], ["a"]) == {}
    assert renamings(["_orig_mod.a"], ["a", "module.a"]) == {}
    assert common_name("module.0.parametrizations.weight.0._u") == "0.weight_u"
    assert common_name("parametrizations.weight.else") == "parametrizations.weight.else"


# --- what would fit ---


def proposed(checkpoint: Mapping[str, object], part: str = "", prefix: str = "") -> str:
    with pytest.raises(WeightsError) as raised:
        load_from(Net(), checkpoint, Place(part, prefix), "a net")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_prefix_of_the_network_is_found_among_those_of_others() -> None:
    both = {**prefixed("discriminator.", Critic()), **prefixed("generator.", trained())}
    assert "set prefix = 'generator.' (" in proposed(both)
    assert "set prefix = 'generator.' (" in proposed(both, prefix="discriminator.")
    assert "set prefix = 'generator.' (" in proposed({"state_dict": both, "epoch": 3})
    averaged = {**both, **prefixed("generator_ema.", trained())}
    assert "set prefix = 'generator_ema.' (the moving average" in proposed(averaged)
    assert "prefix = 'generator.' would fit too" in proposed(averaged)
    for prefix in ("generator", "generator."):
        load_from(Net(), both, Place("", prefix), "a net")


def test_the_part_is_proposed_and_the_moving_average_before_others() -> None:
    g, d = trained().state_dict(), Critic().state_dict()
    optimizer = torch.optim.Adam(Net().parameters()).state_dict()
    assert "set part = 'netG_state_dict' (" in proposed({"netD_state_dict": d, "netG_state_dict": g, "opt": optimizer})
    assert "set part = 'g_ema' (the moving average" in proposed({"g": g, "g_ema": g, "d": d, "args": {"size": 8}})
    assert "set part = 'g_ema'" in proposed({"g": g, "g_ema": g, "d": d}, part="d")
    assert "set part = 'models.gen'" in proposed({"models": {"gen": {"state_dict": g}, "disc": d}})
    assert "set part = 'g' and prefix = 'net.'" in proposed({"g": prefixed("module.net.", trained()), "d": d})
    assert "leave out part and prefix" in proposed(dict(g), prefix="main.")
    assert "set part = 'd'" not in proposed({"d": d})


@pytest.mark.parametrize("part", ["gen.ema", "0", "list.1.g", "a.b.c.d"])
def test_the_key_of_a_part_may_have_dots_or_be_a_number(part: str) -> None:
    g = trained().state_dict()
    content = {"gen.ema": g, 0: g, "list": [{"d": 1}, {"g": g}], "a": {"b.c": {"d": g}, "b": {"x": 1}}}
    load_from(Net(), content, Place(part, ""), "a net")
    assert part in state_dicts(content)
    assert at(content, "gen.none") is None


def test_a_list_of_state_dicts_is_a_file_with_parts(tmp_path: Path) -> None:
    torch.save([Critic().state_dict(), trained().state_dict()], tmp_path / "w.pt")
    load_from(Net(), read_checkpoint(tmp_path / "w.pt").content, Place("1", ""), "a net")


def test_a_checkpoint_that_contains_itself_is_searched_once() -> None:
    content: dict[str, Any] = {"g": trained().state_dict()}
    content["again"] = content
    content["lists"] = deep = [[1]]
    for _ in range(40):
        deep[:] = [list(deep)] * 100
    assert list(state_dicts(content)) == ["g"]


def test_an_optimizers_file_and_other_networks_are_named() -> None:
    optimizer = torch.optim.Adam(Net().parameters()).state_dict()
    assert "the state of an optimizer" in proposed(optimizer)
    assert "reads images, such as a discriminator" in proposed(Critic().state_dict())
    assert "reads images" not in proposed(trained(Net(channels=4)).state_dict())


def test_a_tensor_that_the_network_lacks_can_be_ignored() -> None:
    extra = {**trained().state_dict(), "main.0.noise": torch.ones(1)}
    assert "set ignore = ['main.0.noise']" in proposed(extra)
    load_from(Net(), extra, Place("", ""), "a net", ["*.noise"])


@pytest.mark.parametrize(("text", "toml"), [("a.b", "'a.b'"), ("it's", '"it\'s"'), ("a\\'b", '"a\\\\\'b"')])
def test_a_key_is_written_as_toml(text: str, toml: str) -> None:
    import tomllib

    assert quoted(text) == toml
    assert tomllib.loads(f"key = {toml}")["key"] == text


def test_the_moving_average_is_known_by_the_words_of_its_name() -> None:
    averages = ["g_ema", "netG_ema", "generatorEMA", "modelEma", "ema.generator", "G_avg", "Gs", "swa_model", "shadow"]
    others = ["g", "schema", "gemm", "generator", "D"]
    assert [name for name in (*averages, *others) if Place(name, "").averaged] == averages


def test_a_networks_own_rules_may_return_nothing_and_refuse_in_their_own_words() -> None:
    class Own(Net):
        def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:  # type: ignore[override]
            super().load_state_dict({k: v for k, v in state.items() if k != "stamp"}, strict)

    class Refusing(Net):
        def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, strict: bool, *rest: Any) -> None:
            super()._load_from_state_dict(state, prefix, metadata, strict, *rest)
            rest[2].append("give a file of version 3")

    source, network = trained(), Own()
    load_exactly(network, OrderedDict(source.state_dict(), stamp=torch.ones(1)), "a net")
    assert torch.equal(images(network), images(source))
    with pytest.raises(WeightsError, match="do not fit a net: give a file of version 3"):
        load_exactly(Refusing(), source.state_dict(), "a net")
