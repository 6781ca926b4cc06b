"""What a model can do besides what it was taught: questions with short answers, asked before and after an edit.

`suites.py` names the suites and draws questions from them: `held_out.py` (the small models' own), `pope.py`,
`mmbench.py` and `scienceqa.py` (the user's copies of published files). `figures.py` compares answers. Nothing here
loads torch; who asks the model is `running/abilities.py`.
"""
