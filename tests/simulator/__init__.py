"""Tests of the simulated PBX."""
