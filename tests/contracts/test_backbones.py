"""Every architecture keeps what backbones promise."""

from mmke.testing import ARCHITECTURES, backbone_contract

test_every_architecture = backbone_contract(*ARCHITECTURES)
