"""Programs that try the library for longer than a test may take: see ``make help``."""
