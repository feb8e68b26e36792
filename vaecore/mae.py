"""The VAEs of the MAE paper: weight-normed ResNet encoder, autoregressive prior, either decoder (Ma et al. 2019).

At 28 x 28 and 32 latent dimensions, and with the options' defaults, each part has as many weights as in the released
code: encoder 703,872, prior 356,352, ResNet decoder 141,327, masked PixelCNN 505,346.
"""

from torch import nn

from vaecore.decoders import BernoulliDecoder
from vaecore.encoders import GaussianEncoder
from vaecore.lossy import LossyPixelCNN
from vaecore.normed_resnets import maps_of, normed_decoder, normed_encoder
from vaecore.options import Number
from vaecore.pixelcnn import PixelDecoder
from vaecore.priors import AutoregressivePrior
from vaecore.resnets import Shape
from vaecore.vae import VAE

WIDTH = Number("width", 64, 1, 512, "channels of the ResNet's blocks but the first, which has half; the paper 64")
LAYERS = Number("layers", 3, 1, 6, "the ResNet's blocks, each of which halves the image; the paper 3")
FLOWS = Number("flows", 4, 0, 32, "blocks of the prior's autoregressive flow, each through both orders; the paper 4")
MAPS = Number("maps", 4, 1, 64, "of z, for each pixel of the PixelCNN; the paper 4")
BLOCKS = Number("blocks", 6, 0, 60, "of the PixelCNN, after its first layer: 7 x 7, 5 x 5, 3 x 3; the paper 6")
UNITS = Number("units", 64, 1, 512, "channels of the PixelCNN; the paper 64")
RESNETS = (WIDTH, LAYERS, FLOWS)


def resnet_af(data_shape: Shape, latent_dim: int, width: int, layers: int, flows: int) -> VAE:
    """Each pixel on its own given z."""
    decoder = BernoulliDecoder(normed_decoder(latent_dim, data_shape, width, layers))
    return joined(decoder, data_shape, latent_dim, width=width, layers=layers, flows=flows)


def lossy_vae(data_shape: Shape, latent_dim: int, maps: int, blocks: int, units: int, **sizes: float) -> VAE:
    """Each pixel given z and those before it."""
    pixels = LossyPixelCNN(data_shape[0], maps, blocks, units)
    decoder = PixelDecoder(maps_of(latent_dim, data_shape, maps), pixels)
    return joined(decoder, data_shape, latent_dim, **{size.name: sizes[size.name] for size in RESNETS})


def joined(decoder: nn.Module, data_shape: Shape, latent_dim: int, *, width: int, layers: int, flows: int) -> VAE:
    encoder = GaussianEncoder(normed_encoder(data_shape, 2 * latent_dim, width, layers))
    return VAE(AutoregressivePrior(latent_dim, flows), encoder, decoder)
