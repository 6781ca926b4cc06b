"""The pipeline that makes a benchmark: from things and pictures to verified records in the published format.

A *project* is a folder with `build.toml` and one append-only log for each stage. In the order of the stages:

    collect   sources          -> things.jsonl, pictures.jsonl, pictures/
    write     things           -> edits.jsonl      what is changed, and the descriptions
    ask       edits            -> questions.jsonl  questions with their gold answers, pictures side by side
    check     all of these     -> findings         what a rule says against a record
    verify    all of these     -> verdicts.jsonl   what people decide, in the browser
    export    accepted records -> a folder that `mmke run --data` reads

`content` says what the lines hold, `project` opens a project, `log` reads and writes a stage's lines.
"""
