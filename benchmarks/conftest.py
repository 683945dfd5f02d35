"""Makes the benchmarks' own modules importable under any of pytest's import modes."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
