"""Where models come from, a module for each: its function `find(target, parameters, options)` gives a `Found`."""
