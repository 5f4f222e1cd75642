"""Mutation tests: apply one planted fault at a time to a copy of the tree and check that a test fails."""
