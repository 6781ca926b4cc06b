"""Which revision of each repository is downloaded, and what its large files have to be.

A repository with a revision is taken at that commit and no other. The sha256 digests are those of the hub's own large
files at that commit. What is not pinned here is taken as the hub has it now, and compared with what the hub says of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pin:
    """A repository as it was tried.

    Attributes:
        revision: the commit; None where it is not known: then another digest is told and not refused.
        sha256: of files, by their paths.
    """

    revision: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


PINS: Mapping[str, Pin] = {
    "llava-hf/llava-1.5-7b-hf": Pin(
        "b234b804b114d9e37bb655e11cbbb5f5e971b7a9",
        {
            "model-00001-of-00003.safetensors": "c11dbf016ee7d35ee130c19b67e20eb04873996006f424b7bcbd453b6517ee66",
            "model-00002-of-00003.safetensors": "46df6c6e5fad297fe7fbca4963dcf180cb1d0528cabc884d1f603311fed01328",
            "model-00003-of-00003.safetensors": "4f06177c37ca13944e73b57dd6d051767b950dffc12400c700dfa2509c24c697",
            "tokenizer.model": "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347",
        },
    ),
    "Salesforce/blip2-opt-2.7b": Pin(
        "59a1ef6c1e5117b3f65523d1c6066825bcf315e3",
        {
            "model-00001-of-00002.safetensors": "b81228c9ac1b3dee1731ee71d51fe3b2c34f915019c44c25a793b51300ae24fc",
            "model-00002-of-00002.safetensors": "536bd73b8f1de7d94f503b23fea2eaa4f7f3ea5f74f8f874fcb21d6df1555a19",
        },
    ),
    # Its files' digests are not known to us.
    "Vision-CAIR/vicuna-7b": Pin("0abeb8872d75421e58ec146c39b31f5dc78c7613"),
    # Its commit is not known to us.
    "kailinjiang/MMKE-Bench-dataset": Pin(
        sha256={
            "data_json/entity_train.json": "1c1ed7d25bbcfcf52ba315217970d33b09f36265e5742ef98567a04946b60edc",
        }
    ),
}
