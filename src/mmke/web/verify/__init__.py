"""The page where people decide on records: `mmke build verify`."""

from mmke.web.verify.serve import serve

__all__ = ["serve"]
