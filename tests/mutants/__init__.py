"""Deliberate bugs, each with the tests that must find it: `make mutants`.

    mutant      what one is, and how a tree is made wrong with it
    table       the bugs, by the promise they break
    __main__    the runner

A test that nobody has seen fail proves little. The table cannot rot: a quick test holds that
every mutant's text is in its file exactly once, and that the tests it names are there.
"""

from ..support.paths import ROOT
from .mutant import Mutant
from .table import MUTANTS

__all__ = ["MUTANTS", "ROOT", "Mutant"]
