"""The answers: the result record, the result files and the report made of them."""
