"""Methods of editing, a package each; see `mmke.protocols.Editor` for what they promise."""

import mmke.backbones  # noqa: F401 - it looks after torchvision, before an editor imports transformers
