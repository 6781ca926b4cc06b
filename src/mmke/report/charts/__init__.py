"""Plots that answer questions, as static SVG: drawn by Altair and vl-convert, for a page or for a paper."""
