"""What run.json says in short, in words: the switches of the protocols."""

from collections.abc import Mapping
from typing import Any

SWITCHES: Mapping[str, Mapping[Any, str]] = {
    "labels": {
        "joint": "The tokens of a gold answer are the tail of the joint text of question and answer.",
        "alone": "The gold answer is split into tokens by itself, and aligned from the right end, as published.",
    },
    "reference": {
        "base": "Locality compares with the unedited model.",
        "previous edit": "Locality compares with the model that was edited with the previous record, as published.",
    },
    "locality_match": {
        "top1": "Locality counts where the most probable token stays the same.",
        "ranks": "Locality compares rank by rank: the first one in text, the first ten on pictures, as published.",
    },
    "locality_positions": {
        "answer": "Locality looks at the positions of the answer.",
        "all": "Locality looks at all positions, those of the question too, as published.",
    },
    "topk_dtype": {
        "float32": "Ranks are taken in float32; equal values by their ids.",
        "native": "Ranks are taken in the model's own precision, as published.",
    },
    "exif_orientation": {
        "applied": "A picture is turned upright as its EXIF data say.",
        "ignored": "A picture is read as it is stored, as published.",
    },
    "hop_drops_records": {
        False: "A record without a question of the asked hop stays; its Port is unscored.",
        True: "A record without a question of the asked hop leaves every metric, as published.",
    },
    "answer_blanks": {
        "stripped": "White space at both ends of an answer is left out.",
        "kept": "White space at both ends of an answer is scored, as published.",
    },
    "limit_counts": {
        "used records": "A limit counts the records that are used.",
        "all records": "A limit counts the records of the file, as published.",
    },
    "average": {
        "macro": "Figures are means over records, each the mean of its questions.",
        "micro": "Figures are what is right over what is counted in all records together, as published.",
    },
}


def switches_told(switches: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each switch; one that is not known stands as run.json has it."""
    return [
        SWITCHES.get(name, {}).get(value, f"{name}: {value}") for name, value in switches.items() if name != "protocol"
    ]
