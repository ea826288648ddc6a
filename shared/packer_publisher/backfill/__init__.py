"""Bringing the images that exist already into their buckets: the scan, the plan, the work, and the journal of it."""
