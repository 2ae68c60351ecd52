"""A module of imports, for `module_imports` to read."""

import os.path
from collections import OrderedDict as second
from collections import abc as first

import numpy as np

__all__ = ["first", "np", "os", "second"]
