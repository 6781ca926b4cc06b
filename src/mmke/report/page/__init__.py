"""Pages that are one file: they open from a disk, load nothing, and have the style of the pages in `mmke.web`."""
