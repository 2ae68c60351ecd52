"""Tests of what tox runs beside the suite."""
