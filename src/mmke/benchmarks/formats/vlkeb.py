"""VLKEB's records (Huang et al., arXiv:2403.07350): MMEdit's fields, with portability questions in two of its files.

`train.json` and `eval.json` have MMEdit's fields alone. `eval_multihop.json` has a list `port_new` like MMKE-Bench's (1
to 4 hops). `eval_edit_onehop.json` has one question of one hop, `port_q` with its answer `port_a`; its `port_edit_q`
and `port_edit_a` are a second edit, which is not made. Portability is asked on the edit's picture. Pictures lie in
`VLKEB_images/` beside the files, each below the id of its entity, such as `m.0104lr/google_15.jpg`.
"""

import re

from mmke.benchmarks.formats import mmedit

FIELDS = mmedit.FIELDS | {"port_edit_q", "port_edit_a"}
PICTURES = "VLKEB_images"
ENTITY = re.compile(r"(.*/)?[mg]\.[0-9a-z_]+/")
"""How the path of a picture of VLKEB begins: an id of Freebase."""
