"""`hf:NAME_OR_PATH`, any image-text-to-text model of the library; `model.load` puts it together."""
