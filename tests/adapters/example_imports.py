"""A module of imports, for `module_imports` to read."""

import os.path
from collections import abc as first
from json import loads as second

import numpy as np

__all__ = ["first", "np", "os", "second"]
