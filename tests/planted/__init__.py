"""Planted faults: one wrong line at a time in a copy of the tree, and the tests that must notice."""
