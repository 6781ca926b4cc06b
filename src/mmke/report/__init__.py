"""Tables of results folders: read, averaged, beside the published figures; without loading a model."""
