"""Sections of the GPU suite, `benchmarks/gpu.py`: one a module, each with `run(context)`."""
