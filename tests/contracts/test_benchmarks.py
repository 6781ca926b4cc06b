"""Every registered benchmark keeps what benchmarks promise; the published ones on small records in their format."""

from mmke import registry
from mmke.testing import benchmark_contract

PUBLISHED = [name for name in registry.names("benchmarks") if name.startswith("mmke-")]
EMBEDDED = [name for name in registry.names("benchmarks") if name not in PUBLISHED]

test_embedded = benchmark_contract(*EMBEDDED)
test_published = benchmark_contract(*PUBLISHED, data=lambda kit: kit.data)
test_combined = benchmark_contract("mini-entity+mini-user", "mini-entity@split", "mini-user@split-text-first")
