"""`python -m speculative.cli` is `draftpick`."""

from speculative.cli.main import main

main()
