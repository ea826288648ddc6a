"""Records machine images in HCP Packer from their tags, one function per cloud account."""

__version__ = "0.1.0.dev0"
