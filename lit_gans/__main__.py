"""`python -m lit_gans` is `lit-gans`."""

from .cli import main

main()
