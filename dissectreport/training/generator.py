"""Training of the embedded generators: a Progressive GAN on drawings, at half size, then at full size.

    python -m dissectreport.training.generator train --out run --subject rooms --images 400000
    python -m dissectreport.training.generator export --out run --weights rooms_pgan.safetensors

The losses are the non-saturating ones with a lazy gradient penalty on drawn images (Mescheder et al. 2018);
what is kept is a moving average of the generator. Every step draws its chances from (seed, step), so a run
that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from dissectreport.checkpoints.state_dicts import channels_last
from dissectreport.drawings.dataset import SUBJECTS, load_images
from dissectreport.models.proggan import (
    Block,
    OutputLayer,
    ProgressiveGenerator,
    UpsamplingConv,
    from_state_dict,
    normalise_pixels,
)
from dissectreport.segmenters.unet import load_unet
from dissectreport.training.discriminator import Discriminator
from dissectreport.training.quality import assess
from dissectreport.training.weights import write_weights


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes."""

    sizes: tuple[int, ...] = (128, 128, 128, 128, 64, 32, 16)
    data: int = 20_000
    seed: int = 0
    batch: int = 32
    generator_rate: float = 1e-3
    discriminator_rate: float = 2e-3
    """A generator that learns as fast as its opponent soon fools it altogether, and then nobody learns."""
    penalty: float = 0.3
    penalty_interval: int = 16
    settling: int = 0
    """Steps at the start in which only the discriminator learns, for a generator that is trained already."""
    coarse: int = 190_000
    """Images at half size before the finest resolution fades in."""
    fitting: int = 500
    """Steps in which the finest layers learn to repeat what the coarser ones draw, before they fade in."""
    fading: int = 10_000
    """Images over which they fade in."""
    preceded_by: str = ""
    """What had been trained before the run began, for the card."""
    subject: str = "scenes"
    """What the drawings show."""
    pixel_norm: bool = True
    """Whether the generator normalises the input of every block."""
    batch_deviation: bool = True
    """Whether the discriminator is told how much the images of a batch differ."""
    series: str = ""
    """What this run and others have in common that are variants of one training: the same words on every card."""

    @property
    def size(self) -> int:
        """Height and width of the images at full size."""
        return int(2 ** len(self.sizes))

    def blend(self, images: int) -> float:
        """How far the finest resolution counts after that many images: 0 not at all, 1 alone."""
        return min(1.0, max(0.0, (images - self.coarse) / max(1, self.fading)))


class GrowingGenerator(nn.Module):
    """A Progressive GAN generator with a second output at half size, for the time in which it grows."""

    def __init__(self, sizes: Sequence[int], *, plain: bool = False) -> None:
        super().__init__()
        self.full = ProgressiveGenerator(sizes, plain=plain)
        self.coarse_output = OutputLayer(sizes[-2], plain=plain)

    def initialise(self, seed: int) -> None:
        """Draw all weights from N(0, 1)."""
        self.full.initialise(seed)
        nn.init.normal_(self.coarse_output.conv.weight, generator=torch.Generator().manual_seed(seed + 1))

    def start_from(self, coarse: ProgressiveGenerator) -> None:
        """Take over the weights of a generator of half the size."""
        for name, block in list(coarse.named_children())[:-1]:
            self.full.get_submodule(name).load_state_dict(block.state_dict())
        self.coarse_output.load_state_dict(list(coarse.children())[-1].state_dict())

    def forward(self, z: Tensor, blend: float) -> Tensor:
        """(n, z) latents -> (n, 3, h, w) images, of half the size where `blend` is 0."""
        features = self.coarse_features(z)
        if blend == 0:
            return self.draw_coarse(features)
        fine = self.draw_fine(features)
        return fine if blend == 1 else torch.lerp(double(self.draw_coarse(features)), fine, blend)

    def at_half_size(self) -> ProgressiveGenerator:
        """The generator as it is before it grows, with the same weights."""
        half = ProgressiveGenerator(self.full.sizes[:-1], plain=self.full.plain)
        layers = [*list(self.full)[:-3], self.coarse_output]
        for layer, trained in zip(half, layers, strict=True):
            layer.load_state_dict(trained.state_dict())
        return half

    def coarse_features(self, z: Tensor) -> Tensor:
        """(n, z) latents -> (n, channels, h / 2, w / 2), from which both outputs draw."""
        features = z.view(len(z), -1, 1, 1)
        for block in list(self.full)[:-3]:
            features = run_block(block, features)
        return features

    def draw_coarse(self, features: Tensor) -> Tensor:
        """The image at half size."""
        image: Tensor = self.coarse_output(features)
        return image

    def draw_fine(self, features: Tensor) -> Tensor:
        """The image at full size."""
        widen, refine, output = self.fine_layers
        image: Tensor = output(run_block(refine, run_block(widen, features)))
        return image

    @property
    def fine_layers(self) -> list[nn.Module]:
        """The blocks and the output that only full size needs."""
        return list(self.full)[-3:]

    def fit_fine_layers(self, steps: int, batch: int, seed: int) -> None:
        """Teach the finest layers to draw what the coarse output draws, so that growing breaks nothing."""
        parameters = [value for layer in self.fine_layers for value in layer.parameters()]
        optimiser = torch.optim.Adam(parameters, 0.02)
        for step in range(steps):
            random = torch.Generator().manual_seed(seed * 1_000_003 + step)
            optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                features = self.coarse_features(torch.randn(batch, self.full.latent_size, generator=random))
                wanted = smoothly_doubled(self.draw_coarse(features).float())
            loss = functional.mse_loss(self.draw_fine(features.float()), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def run_block(block: nn.Module, features: Tensor) -> Tensor:
    """What the block computes, scale and bias inside the convolution: a step takes a quarter less."""
    assert isinstance(block, Block)
    features = features if block.plain else normalise_pixels(features)
    if isinstance(block.conv, UpsamplingConv):
        features = double(features)
    weight = block.conv.weight * block.wscale.scale
    padding = block.conv.padding
    return functional.leaky_relu(functional.conv2d(features, weight, block.wscale.b, padding=padding), 0.2)


def double(images: Tensor) -> Tensor:
    """(n, channels, h, w) -> (n, channels, 2h, 2w), every pixel four times."""
    return functional.interpolate(images, scale_factor=2.0, mode="nearest")


def smoothly_doubled(images: Tensor) -> Tensor:
    """(n, 3, h, w) -> (n, 3, 2h, 2w) without steps."""
    return functional.interpolate(images, scale_factor=2.0, mode="bilinear")


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    grown: bool = False


class Run:
    """The networks of a training run, their optimisers, and how far it has come."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.progress = Progress()
        self.generator = channels_last(GrowingGenerator(recipe.sizes, plain=not recipe.pixel_norm))
        self.generator.initialise(recipe.seed)
        torch.manual_seed(recipe.seed)
        self.discriminator = channels_last(Discriminator(recipe.sizes[1:], deviation=recipe.batch_deviation))
        self.average = deepcopy(self.generator).requires_grad_(False)
        self.optimisers = [
            torch.optim.Adam(self.generator.parameters(), recipe.generator_rate, betas=(0.0, 0.99)),
            torch.optim.Adam(self.discriminator.parameters(), recipe.discriminator_rate, betas=(0.0, 0.99)),
        ]

    def start_from(self, coarse: ProgressiveGenerator) -> None:
        """Take over the weights of a generator of half the size."""
        self.generator.start_from(coarse)
        self.average.load_state_dict(self.generator.state_dict())

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on, whole or not at all."""
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "progress": asdict(self.progress),
            "networks": [network.state_dict() for network in self._networks()],
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Run:
        """The run as it was saved."""
        state = torch.load(path, weights_only=True)
        fields = json.loads(state["recipe"])
        run = cls(Recipe(**fields | {"sizes": tuple(fields["sizes"])}))
        run.progress = Progress(**state["progress"])
        for network, values in zip(run._networks(), state["networks"], strict=True):
            network.load_state_dict(values)
        for optimiser, values in zip(run.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        return run

    def _networks(self) -> tuple[nn.Module, ...]:
        return self.generator, self.average, self.discriminator

    def grow(self) -> None:
        """Prepare the finest layers for their turn."""
        recipe = self.recipe
        self.generator.fit_fine_layers(recipe.fitting, batch=4, seed=recipe.seed)
        pairs = zip(self.average.fine_layers, self.generator.fine_layers, strict=True)
        for kept, current in pairs:
            kept.load_state_dict(current.state_dict())
        self.progress.grown = True

    def advance(self, data: Tensor) -> tuple[float, float]:
        """One step on the data set (n, h, w, 3) uint8; the losses of discriminator and generator."""
        recipe, progress = self.recipe, self.progress
        if progress.images >= recipe.coarse and not progress.grown:
            self.grow()
        random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + progress.step)
        blend = recipe.blend(progress.images)
        drawn = real_images(data, recipe.batch, blend, random)
        with torch.autocast("cpu", torch.bfloat16):
            generated = self.generator(torch.randn(recipe.batch, recipe.sizes[0], generator=random), blend)
        generated = generated.contiguous(memory_format=torch.channels_last)
        discriminator_loss = self._teach_discriminator(drawn, generated.detach(), blend)
        generator_loss = 0.0
        if progress.step >= recipe.settling:
            generator_loss = self._teach_generator(generated, blend)
            self._follow()
            progress.images += recipe.batch
        progress.step += 1
        return discriminator_loss, generator_loss

    def _teach_discriminator(self, drawn: Tensor, generated: Tensor, blend: float) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            on_drawn = self.discriminator(drawn, blend).float()
            on_generated = self.discriminator(generated, blend).float()
        loss = functional.softplus(on_generated).mean() + functional.softplus(-on_drawn).mean()
        optimiser = self.optimisers[1]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.progress.step % self.recipe.penalty_interval == 0:
            self._penalise_gradient(drawn[: max(1, self.recipe.batch // 2)], blend)
        optimiser.step()
        return loss.item()

    def _penalise_gradient(self, drawn: Tensor, blend: float) -> None:
        images = drawn.detach().requires_grad_()
        score = self.discriminator(images, blend).sum()
        (gradient,) = torch.autograd.grad(score, images, create_graph=True)
        size = gradient.square().sum(dim=(1, 2, 3)).mean()
        (size * self.recipe.penalty / 2 * self.recipe.penalty_interval).backward()  # type: ignore[no-untyped-call]

    def _teach_generator(self, generated: Tensor, blend: float) -> float:
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            score = self.discriminator(generated, blend).float()
        self.discriminator.requires_grad_(True)
        loss = functional.softplus(-score).mean()
        optimiser = self.optimisers[0]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.item()

    def _follow(self) -> None:
        """Move the average towards the generator; it forgets half in 10 thousand images, sooner at first."""
        half_life = min(10_000.0, 1000 + 0.1 * self.progress.images)
        weight = 1 - 0.5 ** (self.recipe.batch / half_life)
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for kept, current in pairs:
            kept.lerp_(current.detach(), weight)


def real_images(drawn: Tensor, batch: int, blend: float, random: torch.Generator) -> Tensor:
    """(batch, 3, h, w) drawn images in [-1, 1], half of them mirrored, as fine as `blend` says."""
    chosen = drawn[torch.randint(len(drawn), (batch,), generator=random)]
    images = chosen.permute(0, 3, 1, 2).float() / 127.5 - 1
    mirrored = torch.rand(batch, 1, 1, 1, generator=random) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    if blend < 1:
        coarse = functional.avg_pool2d(images, 2)
        images = coarse if blend == 0 else torch.lerp(double(coarse), images, blend)
    return images.contiguous(memory_format=torch.channels_last)


# --- commands -----------------------------------------------------------------------------------------------


def train_generator(
    out: Path,
    images: int,
    recipe: Recipe | None = None,
    *,
    drawings: Path | None = None,
    start: Path | None = None,
    pause: Path | None = None,
    save_every: float = 300.0,
    keep_every: int = 25_000,
) -> Path:
    """Train until `images` images were generated, going on from the checkpoint in `out` if there is one.

    `start` holds weights of a generator of half the size; while the file `pause` exists, training sleeps.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = open_run(out, recipe or Recipe(), start)
    folder = drawings or out / "drawings"
    drawn = torch.from_numpy(load_images(folder, run.recipe.seed, run.recipe.data, run.recipe.size, run.recipe.subject))
    saved = run.progress.seconds
    while run.progress.images < images:
        wait_while_there(pause)
        losses = timed_step(run, drawn)
        if run.progress.step % 25 == 0:
            log(out, run, losses)
        if run.progress.seconds - saved >= save_every:
            save(out, run, keep_every)
            saved = run.progress.seconds
    save(out, run, keep_every)
    return checkpoint(out)


def checkpoint(out: Path) -> Path:
    """Where a run keeps its latest state."""
    return out / "checkpoint.pt"


def open_run(out: Path, recipe: Recipe, start: Path | None) -> Run:
    """The run in `out` where it was left, or a new one."""
    if checkpoint(out).exists():
        return Run.load(checkpoint(out))
    run = Run(recipe)
    if start:
        run.start_from(from_state_dict({key: value.float() for key, value in load_file(start).items()}))
    return run


def wait_while_there(pause: Path | None) -> None:
    """Sleep until the file is gone."""
    while pause and pause.exists():
        time.sleep(2)


def timed_step(run: Run, drawn: Tensor) -> tuple[float, float]:
    """One step of the run, its time added to the run's."""
    start = time.monotonic()
    losses = run.advance(drawn)
    run.progress.seconds += time.monotonic() - start
    return losses


def log(out: Path, run: Run, losses: tuple[float, float]) -> None:
    """Add a line to the run's log."""
    progress = run.progress
    line = (
        f"step {progress.step} images {progress.images} seconds {progress.seconds:.0f}"
        f" blend {run.recipe.blend(progress.images):.2f} losses {losses[0]:.3f} {losses[1]:.3f}"
    )
    with (out / "log.txt").open("a") as file:
        file.write(line + "\n")


def save(out: Path, run: Run, keep_every: int) -> None:
    """Save the run and a sheet of samples; the first state of every `keep_every` images stays for good."""
    run.save(checkpoint(out))
    kept = out / f"checkpoint_{run.progress.images // keep_every * keep_every:07d}.pt"
    if not kept.exists():
        run.save(kept)
    sheet(samples(run, 40), columns=8).save(out / f"samples_{run.progress.images:07d}.png")


@torch.no_grad()
def samples(run: Run, count: int) -> Tensor:
    """(count, 3, h, w) images of the averaged generator, always from the same latents."""
    z = torch.randn(count, run.recipe.sizes[0], generator=torch.Generator().manual_seed(1))
    blend = run.recipe.blend(run.progress.images)
    return torch.cat([run.average(part, blend) for part in torch.split(z, 8)])


def sheet(images: Tensor, columns: int) -> Image.Image:
    """(n, 3, h, w) images in [-1, 1], `columns` a row."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    rows = [numpy.concatenate(list(row), axis=1) for row in numpy.split(pixels, len(pixels) // columns)]
    return Image.fromarray(numpy.concatenate(rows, axis=0))


def export_generator(out: Path, weights: Path, count: int = 1000, state: Path | None = None) -> None:
    """Write the averaged generator of the run in `out`, at the size it has come to, and its card beside it."""
    run = Run.load(state or checkpoint(out))
    recipe, progress = run.recipe, run.progress
    generator = (run.average.full if progress.grown else run.average.at_half_size()).eval()
    card = {
        "what": f"Progressive GAN of drawn {recipe.subject}, {generator.resolution} x {generator.resolution}",
        "subject": recipe.subject,
        "family_of_training": recipe.series
        or f"drawn {recipe.subject}, {generator.resolution} x {generator.resolution}",
        "variant": variant_of(recipe) if recipe.series else "",
        "pixel_norm": recipe.pixel_norm,
        "batch_deviation": recipe.batch_deviation,
        "data": f"drawings 0 to {recipe.data - 1} of seed {recipe.seed} of {SUBJECTS[recipe.subject].paint.__module__}",
        "images": progress.images,
        "images_at_half_size": min(progress.images, recipe.coarse) if progress.grown else 0,
        "preceded_by": recipe.preceded_by,
        "steps": progress.step,
        "seconds": round(progress.seconds),
        "recipe": asdict(recipe),
        **assess(generator, load_unet(recipe.subject, SUBJECTS[recipe.subject].words), count),
    }
    write_weights(weights, generator.state_dict(), card)


def variant_of(recipe: Recipe) -> str:
    """What a run has of the parts that GAN Dissection compares generators with and without (section 4.2)."""
    parts = {"minibatch standard deviation": recipe.batch_deviation, "pixel norm": recipe.pixel_norm}
    return ", ".join(part for part, there in parts.items() if there)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    return tuple(int(part) for part in text.split(","))


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(prog="python -m dissectreport.training.generator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train, or go on with a run")
    train.add_argument("--images", type=int, default=400_000, help="stop after this many generated images")
    train.add_argument("--subject", choices=SUBJECTS, default=recipe.subject, help="what the drawings show")
    train.add_argument("--sizes", type=numbers, default=recipe.sizes, help="channels of the latent and from 4x4 on")
    train.add_argument("--data", type=int, default=recipe.data, help="how many drawings to learn from")
    train.add_argument("--seed", type=int, default=recipe.seed)
    train.add_argument("--batch", type=int, default=recipe.batch, help="images a step")
    train.add_argument("--coarse", type=int, default=recipe.coarse, help="images at half size first")
    train.add_argument("--fading", type=int, default=recipe.fading, help="images over which to fade in full size")
    train.add_argument("--fitting", type=int, default=recipe.fitting, help="steps to prepare full size")
    train.add_argument("--settling", type=int, default=recipe.settling, help="steps of the discriminator alone")
    train.add_argument("--generator-rate", type=float, default=recipe.generator_rate)
    train.add_argument("--discriminator-rate", type=float, default=recipe.discriminator_rate)
    train.add_argument("--penalty", type=float, default=recipe.penalty, help="weight of the gradient penalty")
    train.add_argument("--preceded-by", default=recipe.preceded_by, help="a note for the card")
    train.add_argument("--series", default=recipe.series, help="what its variants have in common, for the card")
    for part in ("pixel-norm", "batch-deviation"):
        train.add_argument(f"--{part}", action=argparse.BooleanOptionalAction, default=True)
    train.add_argument("--start", type=Path, help="weights of a generator of half the size to start from")
    train.add_argument("--drawings", type=Path, help="folder of drawings, filled where they are missing")
    train.add_argument("--pause", type=Path, help="sleep while this file exists")
    export = commands.add_parser("export", help="write weights and card")
    export.add_argument("--weights", type=Path, required=True, help="the .safetensors file to write")
    export.add_argument("--state", type=Path, help="an older checkpoint of the run, instead of the latest")
    export.add_argument("--count", type=int, default=1000, help="images to compare with drawings")
    for command in (train, export):
        command.add_argument("--out", type=Path, required=True, help="folder of the run")
        command.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a generator or export it."""
    options = arguments_of(arguments)
    torch.set_num_threads(options.threads)
    if options.command == "export":
        export_generator(options.out, options.weights, options.count, options.state)
        return
    recipe = Recipe(
        subject=options.subject,
        sizes=options.sizes,
        data=options.data,
        seed=options.seed,
        batch=options.batch,
        coarse=options.coarse,
        fading=options.fading,
        settling=options.settling,
        fitting=options.fitting,
        generator_rate=options.generator_rate,
        discriminator_rate=options.discriminator_rate,
        penalty=options.penalty,
        preceded_by=options.preceded_by,
        series=options.series,
        pixel_norm=options.pixel_norm,
        batch_deviation=options.batch_deviation,
    )
    train_generator(
        options.out,
        options.images,
        recipe,
        drawings=options.drawings,
        start=options.start,
        pause=options.pause,
    )


if __name__ == "__main__":
    main()
