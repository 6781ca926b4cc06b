"""The data card: README.md with the metadata header of the hub."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmke.build.content import Kind
from mmke.build.export.pictures import asks_attribution, asks_share_alike, origins
from mmke.build.export.published import FOLDERS
from mmke.counting import counted

Part = Mapping[str, Any]

_KINDS: Mapping[Kind, str] = {
    "entity": "a thing is shown under its name with another thing's picture and altered facts",
    "semantic": "a gesture or sign is shown with another look and another meaning",
    "user": "a thing that belongs to a made-up user, with facts that no model has heard of",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
_LICENCES = {"CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "Apache-2.0", "CC-BY-3.0", "CC-BY-SA-3.0", "ODbL-1.0"}


def title_of(parts: Sequence[Part]) -> str:
    """Return the name of the benchmark; of parts of several names all of them."""
    return ", ".join(dict.fromkeys(part["name"] for part in parts))


def card(parts: Sequence[Part], pictures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the card's text.

    Args:
        parts: the manifest's, in the order entity, semantic, user.
        pictures: the manifest's, by their paths.
    """
    from huggingface_hub import DatasetCard

    sections = [
        _intro(parts),
        "## Content\n\n" + _counts(parts),
        "## How it was made\n\n" + "\n".join(map(_made, parts)),
        "## Verification\n\n" + "\n".join(map(_verified, parts)),
        "## Licences\n\n" + _licences(parts, pictures),
        "## Intended use and limits\n\n" + _limits(parts),
        "## How to run it\n\n" + _usage(parts),
        "## Files\n\n" + _FILES,
    ]
    return str(DatasetCard("---\n" + _header(parts) + "\n---\n\n" + "\n\n".join(sections) + "\n"))


def _header(parts: Sequence[Part]) -> str:
    from huggingface_hub import DatasetCardData

    total = sum(sum(part["records"].values()) for part in parts)
    licences = list(dict.fromkeys(part["licence"] for part in parts))
    known = len(licences) == 1 and licences[0] in _LICENCES
    names = [FOLDERS[part["kind"]] for part in parts]
    splits = [("train", "train"), ("test", "eval")]  # the hub's names, and those of the files
    data = DatasetCardData(
        pretty_name=title_of(parts),
        language="en",
        license=licences[0].lower() if known else "other",
        task_categories=["visual-question-answering"],
        tags=["knowledge-editing", "multimodal", "mmke"],
        size_categories=next((name for most, name in _SIZES if total < most), "n>100K"),
        configs=[
            {
                "config_name": name,
                "data_files": [{"split": hub, "path": f"data_json/{name}_{side}.json"} for hub, side in splits],
            }
            for name in names
        ],
    )
    # What is None is left out of the header.
    data.__dict__["license_name"] = None if known else " and ".join(licences)
    return str(data.to_yaml())


def _intro(parts: Sequence[Part]) -> str:
    kinds = "\n".join(f"* **{FOLDERS[part['kind']]}**: {_KINDS[part['kind']]}." for part in parts)
    return (
        f"# {title_of(parts)}\n\nA benchmark of multimodal knowledge editing in the format of MMKE-Bench "
        f"(arXiv:2502.19870), made with `mmke build`.\n\n{kinds}"
    )


def _counts(parts: Sequence[Part]) -> str:
    lines = ["| kind | type | train | eval |", "|---|---|---|---|"]
    for part in parts:
        name = FOLDERS[part["kind"]]
        lines += [f"| {name} | {kind} | {n['train']} | {n['eval']} |" for kind, n in part["types"].items()]
        lines.append(f"| {name} | **all** | {part['records']['train']} | {part['records']['eval']} |")
    told = []
    for part in parts:
        tags = ", ".join(f"{name} ({count})" for name, count in part["tags"].items())
        told.append(
            f"{FOLDERS[part['kind']]}: descriptions have {part['words']} words on average"
            + (f"; tags: {tags}." if tags else ".")
        )
    split = (
        "Records that share a picture, a thing or a user are in one split: "
        + ", ".join(f"{counted(part['groups'], 'group')} ({FOLDERS[part['kind']]})" for part in parts)
        + ". This holds within each kind, not between two kinds."
    )
    return "\n".join(lines) + "\n\n" + "\n".join(f"* {line}" for line in [*told, split])


def _made(part: Part) -> str:
    roles = (("things and pictures", "source"), ("edits", "writer"), ("questions", "asker"))
    told = [f"{what} by {'; '.join(map(_maker, part[key]))}" for what, key in roles if part[key]]
    return f"* {FOLDERS[part['kind']]}: {', '.join(told)}; {part['tool']}, seed {part['seed']}."


def _maker(by: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in by.items()) or "unknown"


def _verified(part: Part) -> str:
    name = FOLDERS[part["kind"]]
    states = ", ".join(f"{count} {state}" for state, count in part["states"].items())
    told = f"* {name}: of all records that were made, {states}."
    if part["left_out"]:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in part["left_out"].items())
        told += f" Left out, by the reason or the rule: {reasons}."
    if part["unverified"]:
        exported = ", ".join(f"{count} {state}" for state, count in part["exported_states"].items())
        told += f" **Exported without verification** (`--unverified`): of the records here, {exported}."
    report = part["verification"]
    return told if report is None else f"{told}\n\n```text\n{report['text']}\n```\n"


def _licences(parts: Sequence[Part], pictures: Mapping[str, Mapping[str, Any]]) -> str:
    texts = ", ".join(f"{part['licence']} ({FOLDERS[part['kind']]})" for part in parts)
    counts = Counter((each["licence"], each["licence_url"]) for each in origins(pictures))
    lines = [
        f"Texts: {texts}. Each picture keeps its own licence; pictures side by side are under those of both halves.",
        "",
        "| licence of pictures | pictures | attribution | share alike |",
        "|---|---|---|---|",
    ]
    for (name, url), count in sorted(counts.items()):
        link = f"[{name}]({url})" if url else name
        yes = ["yes" if asks(name) else "no" for asks in (asks_attribution, asks_share_alike)]
        lines.append(f"| {link} | {count} | {yes[0]} | {yes[1]} |")
    return "\n".join([*lines, "", "`ATTRIBUTION.md` names the author and origin of each picture."])


def _limits(parts: Sequence[Part]) -> str:
    told = [
        "For measuring whether an editor changes what a multimodal model knows, and nothing else.",
        "Edited descriptions are **false on purpose**: do not train on them or quote them as facts.",
        "Answers are compared with one wording each.",
        "Portability questions go one hop.",
    ]
    if any(part["kind"] == "user" for part in parts):
        told.append("Users and what they tell are made up; a likeness to a person is chance.")
    if any(part["unverified"] for part in parts):
        told.append("Part of it was not verified by people; see above.")
    return "\n".join(f"* {each}" for each in told)


def _usage(parts: Sequence[Part]) -> str:
    name = f"mmke-{FOLDERS[parts[0]['kind']]}"
    return (
        "```\npip install mmke\n"
        f"mmke check {name} --data .\n"
        f"mmke run --data . --benchmark {name} --backbone smol-llava --editor ft-llm\n```"
    )


_FILES = """* `data_json/<kind>_train.json`, `data_json/<kind>_eval.json`: the records.
* `data_image/<kind>/`: their pictures.
* `provenance/<kind>.jsonl`: how each record was made, from what and by whom, and what people decided.
* `verdicts/<kind>.jsonl`: every verdict.
* `manifest.json`: every picture with origin, author, licence, sha256 and its records; the sha256 of every file.
* `ATTRIBUTION.md`, `CITATION.cff`: whom to name, and how to cite."""
