"""The published JSON Schema says what the record types say."""

import json

import jsonschema
import pytest
from msgspec.structs import fields

from reports.record import Line, number
from reports.results import encode
from reports.schema import SCHEMA_FILE, make_schema
from tests.reports.synthetic import make_footer, make_header, make_record, make_run

VALIDATOR = jsonschema.Draft202012Validator(json.loads(make_schema()))


def test_the_committed_schema_is_current():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == make_schema(), "run `python -m reports.schema`"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


def test_real_lines_follow_it():
    run = make_run("pytorch", modes=1)
    lines: list[Line] = [run.header, *run.records, make_footer(3), make_record(worst=number(float("nan")))]
    for line in lines:
        VALIDATOR.validate(json.loads(encode(line)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verdict", "fine"),
        ("rows", -1),
        ("rows", "x"),
        ("worst", "infinite"),
        ("worst", None),
        ("kind", "row"),
        ("finding", []),
    ],
)
def test_a_wrong_record_does_not(field, value):
    line = json.loads(encode(make_record()))
    VALIDATOR.validate(line)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line | {field: value})


@pytest.mark.parametrize("version", ["one", "", "1.", "-1", 1])
def test_a_header_with_a_version_that_is_none_does_not(version):
    line = json.loads(encode(make_header()))
    VALIDATOR.validate(line | {"specification_version": "1.10"})
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line | {"specification_version": version})


@pytest.mark.parametrize("line", [make_header(), make_footer(1)])
def test_each_field_without_a_default_is_required(line):
    whole = json.loads(encode(line))
    for field in (field.name for field in fields(line) if field.required):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate({name: value for name, value in whole.items() if name != field})
