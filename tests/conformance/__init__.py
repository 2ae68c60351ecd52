"""Tests of the questions: cases, properties and verdicts."""
