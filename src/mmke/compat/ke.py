"""The published shell scripts of KE, translated into `mmke train` and `mmke run`.

`bash KE/train_ke.sh 0 llava entity` trains, `bash KE/test_multihop.sh 0 llava 1 entity` edits and asks, both under the
published arithmetic. The first argument is the number of the GPU: the script makes it the only one that is seen, by
CUDA_VISIBLE_DEVICES. Options of `mmke train` or `mmke run` may follow. Data and checkpoints are looked for in the
current folder, weights in its `hugging_cache`. What differs: the published test takes its authors' checkpoint for
entities whatever the kind of data; here it is the one of the kind, trained or brought in (`mmke import`).
"""

import logging
import re
import sys
from collections.abc import Mapping, Sequence

from mmke import cli
from mmke.compat.commands import DECIDED, KINDS, allowed, published_options, run_each
from mmke.errors import UserError, did_you_mean
from mmke.exits import exit_code

logger = logging.getLogger(__name__)

BACKBONES: Mapping[str, str] = {"llava": "llava-1.5-7b", "minigpt4": "minigpt4-7b", "blip2": "blip2-opt-2.7b"}
"""Published names of models, and ours."""

ELSEWHERE = ("qwen-vl", "qwenvl", "owl-2", "owl2")
"""Published names of models that have no backbone here, because they bring their own code."""

ORDERS: Mapping[str, tuple[str, ...]] = {
    "KE/train_ke.sh": ("GPU", "MODEL", "TYPE"),
    "KE/test_multihop.sh": ("GPU", "MODEL", "HOP", "TYPE"),
}
"""What each script is given, in order."""

EXAMPLES: Mapping[str, str] = {"GPU": "0", "MODEL": "llava", "HOP": "1", "TYPE": "entity"}
GPUS = re.compile(r"\d+(,\d+)*")
HOPS = ("1", "2", "3", "4")


def main(argv: Sequence[str], *, backbones: Mapping[str, str] = BACKBONES) -> int:
    """Run one published script, named by its path, with its arguments, and return its exit code."""
    cli.show_messages()
    script, *words = argv
    return exit_code(lambda: _run(script, words, backbones))


def _run(script: str, words: Sequence[str], backbones: Mapping[str, str]) -> int:
    order = ORDERS[script]
    if "--help" in words or "-h" in words:
        logger.info("%s; options of mmke %s may follow", _usage(script), "run" if "HOP" in order else "train")
        return 0
    given = dict(zip(order, words, strict=False))
    if len(given) < len(order) or any(word.startswith("-") for word in given.values()):
        raise UserError(_usage(script))
    problems = [*_problems(given)]
    if problems:
        raise UserError(f"{script}: {'; '.join(problems)} ({_usage(script)})")
    further = allowed(words[len(order) :], script, decided=(*DECIDED, "--hop"))
    begin = ["run", "--editor", "ke", "--hop", given["HOP"]] if "HOP" in given else ["train", "ke"]
    what = ["--backbone", backbones[given["MODEL"]], "--benchmark", f"mmke-{given['TYPE']}"]
    return run_each([[*begin, *what, *published_options(further), *further]])


def _usage(script: str) -> str:
    order = ORDERS[script]
    return f"{script} takes {' '.join(order)}, such as: bash {script} {' '.join(EXAMPLES[each] for each in order)}"


def _problems(given: Mapping[str, str]) -> list[str]:
    """Say what is wrong with the arguments of a script, by their names."""
    found = []
    if not GPUS.fullmatch(given["GPU"]):
        found.append(f"GPU {given['GPU']!r} is no number of a GPU")
    model, kind, hop = given["MODEL"], given["TYPE"], given.get("HOP", HOPS[0])
    if model in ELSEWHERE:
        found.append(
            f"{model} has no backbone here, because it needs code of its own; another model of the library takes its "
            "place: mmke train ke --backbone hf:NAME"
        )
    elif model not in BACKBONES:
        found.append(f"unknown MODEL {model!r}{did_you_mean(model, BACKBONES)}; there are {', '.join(BACKBONES)}")
    if hop not in HOPS:
        found.append(f"HOP {hop!r} is none of {', '.join(HOPS)}")
    if kind not in KINDS:
        found.append(f"unknown TYPE {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
