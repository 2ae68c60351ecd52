"""The suite's own tests, a package for each room."""
