"""``python -m packer_publisher.cli``: the same program where its script is not on the PATH."""

from packer_publisher.cli.main import main

main()
