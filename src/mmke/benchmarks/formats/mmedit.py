"""MMEdit's records: E-VQA (answers to questions) and E-IC (captions), as EasyEdit publishes them.

Source: Cheng et al., arXiv:2310.08475; the files `vqa/vqa_train.json`, `vqa/vqa_eval.json`,
`caption/caption_train_edit.json` and `caption/caption_eval_edit.json` of its data set. Fields: `src` (the edit's
question; "a photo of" in every record of E-IC), `pred` (the model's answer before), `alt` (the edit's target), `image`,
`rephrase` (another wording), `image_rephrase` (another picture), `loc` and `loc_ans` (an unrelated question in text),
`m_loc`, `m_loc_q` and `m_loc_a` (an unrelated picture with its question).

Its five measures are our kinds `recall` (its Reliability), `rephrase` (T-Generality), `image_rephrase` (M-Generality),
`t_loc` (T-Locality) and `i_loc` (M-Locality). What MMKE-Bench asks beyond is unscored, with the reason.
"""

from mmke.benchmarks.formats.fields import Fields
from mmke.benchmarks.formats.record import Record

FIELDS = frozenset(
    {
        *("src", "pred", "alt", "rephrase", "image", "image_rephrase", "loc", "loc_ans", "m_loc", "m_loc_q", "m_loc_a"),
        *("port_new", "port_q", "port_a", "tags", "type_self"),
    }
)
"""All names that mean something here, those that VLKEB adds and our own two among them."""
CAPTION = "a photo of"
"""The edit's question in every record of E-IC."""
NEEDED = frozenset({"src", "alt", "rephrase", "image", "m_loc"})
"""Fields by which these records are known where they have no `knowledge_type`."""


def read(fields: Fields, *, ports: bool, source: str) -> Record:
    """Read a record; every problem is reported, and a record with problems must not be used."""
    picture = fields.picture("image")
    return Record(
        source=source,
        prompt=fields.text("src"),
        paraphrase=fields.text("rephrase", needed=False),
        description=fields.text("alt"),
        original=fields.text("pred", may_be_empty=True) if "pred" in fields.raw else "",
        picture=picture,
        other_picture=fields.picture("image_rephrase"),
        hop_picture=picture,
        text_locality=fields.asked(("loc",), ("loc_ans",)),
        image_locality=fields.asked(("m_loc_q",), ("m_loc_a",)),
        locality_picture=fields.picture("m_loc"),
        hops=fields.hops() if ports else None,
        tags=fields.tags(),
    )
