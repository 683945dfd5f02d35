"""`python -m fastpre` is the `fastpre` command."""

from fastpre.cli import main

if __name__ == "__main__":
    main(prog_name="fastpre")
