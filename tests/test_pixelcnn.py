"""PixelVAE's decoder: what a pixel sees, that it is a density, and that sampling follows it."""

import itertools

import pytest
import torch
from torch import Tensor

import vaecore
from vaecore.pixelcnn import PixelCNN, Pixels, Reading


def wild(size: tuple[int, int], batch: int = 2) -> Pixels:
    """A PixelCNN of random weights, nothing dropped, and random features."""
    net = PixelCNN(1, 4).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    return Pixels(net, torch.randn(batch, 4, *size))


def every(size: tuple[int, int]) -> Tensor:
    """All binary images of a size, [2^HW, 1, 1, H, W]."""
    pixels = size[0] * size[1]
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=pixels))).view(-1, 1, 1, *size)


def test_a_pixel_sees_all_before_it_and_none_after() -> None:
    p, x = wild((5, 5), 1), torch.rand(1, 1, 5, 5, requires_grad=True)
    for i, logit in enumerate(p.logits(x).flatten()):
        (slope,) = torch.autograd.grad(logit, x, retain_graph=True)
        assert (slope.flatten()[i:] == 0).all()
        assert (slope.flatten()[:i] != 0).all()


def test_every_pixel_sees_the_features_of_its_own_place() -> None:
    p = wild((4, 4), 1)
    p.features.requires_grad_()
    for i, logit in enumerate(p.logits(torch.rand(1, 1, 4, 4)).flatten()):
        (slope,) = torch.autograd.grad(logit, p.features, retain_graph=True)
        assert (slope.flatten(2)[..., i] != 0).all()


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    log_prob = wild((2, 3)).log_prob(every((2, 3)))
    assert log_prob.shape == (64, 2)
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(2), atol=1e-5, rtol=0)


def test_images_are_drawn_as_often_as_they_are_likely() -> None:
    p, images = wild((2, 2), 1), every((2, 2))
    drawn = p.sample((20_000,))
    share = torch.stack([(drawn == image).flatten(1).all(1).double().mean() for image in images])
    torch.testing.assert_close(share, p.log_prob(images)[:, 0].exp().double(), atol=0.012, rtol=0)


def test_pixels_read_one_by_one_are_those_of_one_pass() -> None:
    torch.manual_seed(0)
    net = PixelCNN(2, 4, layers=2).eval()
    p = Pixels(net, torch.randn(3, 4, 7, 5))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
        drawn, read = p.sample(), torch.empty(3, 2, 7, 5)
        reading = Reading(net, p.features)
        for row in range(7):
            reading.begin(row, drawn[:, :, row - 1])
            for column in range(5):
                read[:, :, row, column] = reading.logits(column)
                reading.show(drawn[:, :, row, column], column)
        torch.testing.assert_close(read, p.logits(drawn), atol=1e-4, rtol=1e-4)


def test_progress_is_told_row_by_row_and_a_seed_repeats_a_draw() -> None:
    p, events = wild((3, 4)), []
    torch.manual_seed(1)
    first = p.draw(on_event=events.append)
    torch.manual_seed(1)
    assert torch.equal(first, p.sample())
    assert [event["step"] for event in events] == [1, 2, 3]
    assert p.mean.shape == (2, 1, 3, 4)
    assert torch.equal(p.mean, p.mean)


@pytest.mark.parametrize(("prior", "posterior"), [("standard", "gaussian"), ("rnvp", "rnvp")])
def test_a_pixel_vae_learns(prior: str, posterior: str) -> None:
    images = vaecore.load_dataset("dynamic_digits", "train").first(300)
    torch.manual_seed(0)
    vae = vaecore.build("pixelvae", (1, 8, 8), 2, depth=2, prior=prior, posterior=posterior)
    history = vaecore.fit(vae, "pixelvae", images, epochs=4, seed=0, device="cpu")
    assert history[-1]["train_elbo"] > history[0]["train_elbo"] + 1
    z = vae.prior().sample((3,))
    assert set(vae.likelihood(z).sample().unique().tolist()) <= {0.0, 1.0}
    bound = vaecore.evaluation.bounds(vae, images.images[:4], samples=20)
    assert (bound.elbo <= bound.log_evidence + 1e-6).all()
