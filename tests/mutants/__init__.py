"""Deliberate bugs, each with the tests that must find it: `make mutants`.

    mutant      what one is, and how a tree is made wrong with it
    edges       bugs in visibility, snapshot, back-off, tally, pbx, exposition, web
    once_each   bugs in what counts every row once: ledger, plan, tail, state, store
    calls       bugs in what makes calls of legs, and counts them
    __main__    the runner

A test that nobody has seen fail evidence_for little. The table cannot rot: a quick test holds that
every mutant's text is in its file exactly once, and that the tests it names are there.
"""

from ..support.paths import ROOT
from .calls import MUTANTS as CALLS
from .edges import MUTANTS as EDGES
from .mutant import Mutant
from .once_each import MUTANTS as ONCE_EACH

MUTANTS: tuple[Mutant, ...] = (*EDGES, *ONCE_EACH, *CALLS)

__all__ = ["MUTANTS", "ROOT", "Mutant"]
