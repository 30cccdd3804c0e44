"""Lossless speculative decoding with a learned choice of draft: models, engine, drafts, selectors."""


def __getattr__(name: str) -> str:
    from arms.version import lazy_version

    return lazy_version(name)
