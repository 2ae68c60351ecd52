"""What tox runs beside the suite: how it installs, and where earlier results go."""
