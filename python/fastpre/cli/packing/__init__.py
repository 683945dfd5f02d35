"""What `fastpre pack` does: a folder's JPEGs, each made what is asked for, in shards that training reads front to back.

samples ──▶ work: threads, each with one image ──in order──▶ shards ──▶ tar, parquet
                    recipe
"""
