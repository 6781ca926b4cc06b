from mmke.testing import editor_contract, metric_contract

test_one_step = editor_contract("one-step")
test_probability = metric_contract("probability")
