"""Private machinery between the public classes and the compiled core: devices, memory, images, arguments.

Nothing here knows a `Spec`: it is given the core's compiled form, and names of dtypes and memory formats.
"""
