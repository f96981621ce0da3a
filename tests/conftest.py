"""What holds for every test: machines are slow at times, and that is no failure."""

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.load_profile("here")
