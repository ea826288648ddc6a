"""Stand-ins: HCP Packer's API, Azure Resource Manager and Compute Engine on one machine, for the demo and the tests."""
