"""The JSON Schema of a line of a result file, from the record types: `python -m reports.schema` writes it."""

import json
from pathlib import Path

import msgspec

from reports.record import SPECIFICATION_VERSION, Line

SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
"""The published schema."""


def make_schema() -> str:
    """Return the schema as text: one object for each line, told apart by its ``kind``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a Crossproof result file",
        "description": "A result file is JSON Lines: a header, a record for each question, misuses, a footer if the run ended.",
        "$comment": f"specification {SPECIFICATION_VERSION}",
        **msgspec.json.schema(Line),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(make_schema(), encoding="utf-8")
