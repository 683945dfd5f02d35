"""Other libraries' preprocessing.

A reader is a module for each library. Its function `fields(thing)` returns the fields of a `Spec`, or refuses by name.
It knows no `Spec`: `Spec.from_torchvision` and the like make one of the fields. `refusals` has what they refuse with.
What works with a `Preprocessor`, such as an adapter for Ray, is a module of its own, and no reader.
"""
