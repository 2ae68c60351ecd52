"""The questions: cases, properties and verdicts."""
