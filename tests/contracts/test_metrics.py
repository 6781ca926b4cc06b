"""Every registered metric keeps what metrics promise."""

from mmke import registry
from mmke.testing import metric_contract

test_every_metric = metric_contract(*registry.names("metrics"))
