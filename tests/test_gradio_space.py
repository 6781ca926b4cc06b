"""The example of a Gradio Space: it compiles, and what it takes from mmke is there. Gradio is not installed here."""

import ast
import inspect
from pathlib import Path

import mmke
from mmke import registry

APP = Path(__file__).parents[1] / "examples" / "gradio-space" / "app.py"


def calls() -> list[ast.Call]:
    """Return the app's calls of mmke."""
    tree = ast.parse(APP.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in found if ast.unparse(node.func).startswith("mmke.")]


def test_every_call_of_mmke_has_arguments_that_it_takes() -> None:
    compile(APP.read_text(encoding="utf-8"), str(APP), "exec")
    made = calls()
    assert {ast.unparse(call.func) for call in made} >= {"mmke.load_backbone", "mmke.load_editor", "mmke.say"}
    for call in made:
        called = getattr(mmke, ast.unparse(call.func).removeprefix("mmke."))
        named = {str(word.arg): None for word in call.keywords}
        inspect.signature(called).bind(*call.args, **named)


def test_its_editors_exist() -> None:
    tree = ast.parse(APP.read_text(encoding="utf-8"))
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert set(ast.literal_eval(named["EDITORS"])) <= set(registry.names("editors"))
