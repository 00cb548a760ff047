"""A Docker engine as a Dagger service: an image, settings in the environment, a port."""

from .main import Pinnace as Pinnace
