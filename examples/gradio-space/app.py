"""A page for a Space: edit a model and ask it, before and after side by side."""

import os

import gradio as gr

import mmke
from mmke.protocols import Editor

BACKBONE = os.environ.get("BACKBONE", "smol-llava")
DEVICE = os.environ.get("DEVICE", "cpu")
EDITORS = ("ft-llm", "ft-alignment", "serac", "mend", "ke")
UNRELATED = "The capital of France is"
TOKENS = 40

backbone = mmke.load_backbone(BACKBONE, device=DEVICE)
store = mmke.store()
editors: dict[str, Editor] = {}


def editor(name: str) -> Editor:
    """Return an editor, made when it is first chosen."""
    if name not in editors:
        editors[name] = mmke.load_editor(name, backbone=backbone)
    return editors[name]


def edit(path: str | None, question: str, target: str, name: str) -> list[list[str]]:
    """Return the answers to the edit's question and to an unrelated one, before and after."""
    if not question or not target:
        raise gr.Error("Write a question and an answer.")
    try:
        image = mmke.picture(path) if path else None
        asked = [(question, image), (UNRELATED, None)]
        before = [mmke.say(backbone, text, shown, max_new_tokens=TOKENS) for text, shown in asked]
        # Leaving the session undoes the edit, so that one visitor's edit is never another's.
        with editor(name).open(backbone, store) as session:
            session.apply([mmke.Edit(mmke.Query(question, image), target)])
            after = [mmke.say(session, text, shown, max_new_tokens=TOKENS) for text, shown in asked]
    except mmke.UserError as error:
        raise gr.Error(str(error)) from error
    return [[text, old, new] for (text, _), old, new in zip(asked, before, after, strict=True)]


with gr.Blocks(title="mmke", analytics_enabled=False) as page:
    gr.Markdown(f"# Edit {BACKBONE} and ask it")
    with gr.Row():
        picture = gr.Image(type="filepath", label="Picture")
        with gr.Column():
            asked = gr.Textbox("What is shown in the image?", label="Question")
            wanted = gr.Textbox("This is the flag of Iceland.", label="The model should answer")
            chosen = gr.Radio(EDITORS, value=EDITORS[0], label="Edited by")
            button = gr.Button("Edit the model", variant="primary")
    answers = gr.Dataframe(headers=["question", "before", "after"], wrap=True, label="Answers")
    # One at a time: the model is shared.
    button.click(edit, [picture, asked, wanted, chosen], answers, concurrency_limit=1)

if __name__ == "__main__":
    page.launch()
