"""What each cloud says about its images: one module per cloud, each with its own SDK, imported late."""
