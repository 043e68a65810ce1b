"""Tests beside the definition: read, run against any engine, explained.

`cases` turns the written tests of a definition into records and expectations, `outcome` compares
them with what engines answer, `reasons` says why, `coverage` what no test has seen.
"""
