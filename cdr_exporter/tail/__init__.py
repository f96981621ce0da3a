"""Which page to read next: a PBX's table, followed."""

from .tail import Tail

__all__ = ["Tail"]
