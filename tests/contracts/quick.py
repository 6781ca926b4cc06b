"""Settings with which the built-in editors are quick on four-layer models."""

from collections.abc import Mapping

from mmke.testing.kit import LESSONS

QUICK: Mapping[str, Mapping[str, object]] = {
    "ft-llm": {"steps": 4},
    "ft-alignment": {"steps": 4},
    "lora": {"steps": 4, "learning_rate": 1e-2},
    "ultraedit": {"step": 1e-2},
    "grace": {"steps": 4},
    "gated-note": {"steps": 4, "learning_rate": 1e-2, "background": 8},
    "m-ore": {"rank": 16, "groups": 3, "step": 1.0},
    "wise": {"steps": 4},
    "ike": {"demonstrations": 3},
    "ike-random": {"demonstrations": 3},
    "mend": {"rank": 8, "learning_rate": 1e-2, "steps": 10 * LESSONS},
    "ke": {
        "lstm": 16,
        "condition": 32,
        "conditioner": 16,
        "learning_rate": 1e-2,
        "warm_up": 0,
        "steps": 10 * LESSONS,
    },
    "serac": {
        # A text encoder that a package carries, left as it is, with a trained layer behind it.
        "encoder": "all-MiniLM-L6-v2",
        "encoder_trained": False,
        "pooling": "mean",
        "head": 128,
        "rank": 8,
        "learning_rate": 1e-2,
        "scope_learning_rate": 1e-2,
        "steps": 10 * LESSONS,
    },
    "mscke": {
        "encoder": "all-MiniLM-L6-v2",
        "head": 16,
        "rank": 8,
        "learning_rate": 1e-2,
        "scope_learning_rate": 1e-2,
        "steps": 10 * LESSONS,
    },
}
