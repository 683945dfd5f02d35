"""Where training images lie: datasets of files, tar shards, tables, databases and remote objects.

Public classes are in `files`, `shards`, `indexed_shards`, `columns`, `parquet`, `lmdb`, `remote` and `stream`; the
other modules are what they are made of. None of them decodes anything, and none imports a library before it is needed.
"""
